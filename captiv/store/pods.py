"""The ledger of pods: what was asked of the provider, what came of it, and which run used which.

The intent is committed before the provider is asked, and the pod's id the moment it arrives, so
that at any crash a pod that bills is here: by its id, or by a name to look for in the provider's
list. Rows are never deleted, and outlive their runs: they say what was paid.

Every transition is fenced by the state, and returns whether the row is now as it was asked to be:
said twice it changes nothing, and too late it is refused; only `begin_use` says True to one caller
alone. A pod that was ended gets no id and no user any more; whoever is told so by `arrived` ends
the pod itself.
"""

import json
from collections.abc import Iterable
from dataclasses import fields
from decimal import Decimal
from sqlite3 import Connection
from typing import Any

from captiv.core.bill import PodBill
from captiv.core.budget import Budget, Running
from captiv.core.cost import Share, total
from captiv.core.jobs import RunId, SessionId
from captiv.core.pods import Listed, Orphan, Owner, PodRow, PodRowId, sweepable
from captiv.errors import StoreError
from captiv.store import runs

_COLUMNS = tuple(field.name for field in fields(PodRow) if field.name != "users")
_SELECT = (
    f"SELECT {', '.join(_COLUMNS)},"
    " (SELECT json_group_array(run_id) FROM pod_uses WHERE pod_row=pods.id AND to_ms IS NULL)"
    " FROM pods"
)


def intend(
    conn: Connection,
    name: str,
    *,
    provider: str,
    run_id: RunId | None,
    gpu: str,
    cloud: str,
    price_micro: int,
    version: str,
    deadline_ms: int | None,
    now_ms: int,
    lingers: bool = False,
) -> PodRowId:
    """Record that the provider is about to be asked for this pod; to be committed before it is.

    The name is one that is used only once (`captiv.core.pods.pod_name`), `run_id` None if a person
    makes the pod by hand, the price in micro-dollars an hour as offered, `version` that of the
    worker it will run. Its guard ends it at `deadline_ms` in any case; one that `lingers` is left
    to it when its run ends.

    Raises:
        StoreError: the name was used before.
    """
    made_by = "hand" if run_id is None else "run"
    conn.execute(
        "INSERT INTO pods (provider, name, made_by, run_id, lingers, gpu, cloud, price_micro,"
        " version, deadline_ms, intended_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO NOTHING",
        (
            *(provider, name, made_by, run_id, lingers, gpu, cloud, price_micro, version),
            *(deadline_ms, now_ms),
        ),
    )
    row = conn.execute(
        "SELECT id FROM pods WHERE name=? AND state='intended' AND run_id IS ? AND intended_ms=?",
        (name, run_id, now_ms),
    ).fetchone()
    if row is None:
        raise StoreError(f"A pod was asked for under the name {name} before.")
    return PodRowId(row[0])


def arrived(
    conn: Connection, name: str, pod_id: str, price_micro: int, created_ms: int, url: str
) -> bool:
    """Record that the provider made the pod, when its bill began and its price as answered.

    An answer without a price (0) leaves the one that was offered. False if the pod was ended in the
    meantime, or came under another id: then it must not live.
    """
    conn.execute(
        "UPDATE pods SET state='live', pod_id=?1, created_ms=?3, url=?4,"
        " price_micro=iif(?2>0, ?2, price_micro) WHERE name=?5 AND state='intended'",
        (pod_id, price_micro, created_ms, url, name),
    )
    live = conn.execute(
        "SELECT 1 FROM pods WHERE name=? AND state='live' AND pod_id=?", (name, pod_id)
    )
    return live.fetchone() is not None


def ended(conn: Connection, row_id: PodRowId, now_ms: int, reason: str) -> bool:
    """Record that the pod is gone, or never came, and close its uses; tell whether that is new."""
    cursor = conn.execute(
        "UPDATE pods SET state='ended', ended_ms=?, end_reason=? WHERE id=? AND state<>'ended'",
        (now_ms, reason, row_id),
    )
    conn.execute(
        "UPDATE pod_uses SET to_ms=max(from_ms, ?) WHERE pod_row=? AND to_ms IS NULL",
        (now_ms, row_id),
    )
    return cursor.rowcount == 1


def gone(conn: Connection, row_id: PodRowId, now_ms: int) -> None:
    """Record that a pod that was called ended is truly gone since just now: so long it was paid."""
    (before_ms,) = conn.execute("SELECT ended_ms FROM pods WHERE id=?", (row_id,)).fetchone()
    conn.execute(
        "UPDATE pods SET ended_ms=max(ended_ms, ?) WHERE id=? AND state='ended'", (now_ms, row_id)
    )
    conn.execute(
        "UPDATE pod_uses SET to_ms=max(to_ms, ?) WHERE pod_row=? AND to_ms=?",
        (now_ms, row_id, before_ms),
    )


def begin_use(conn: Connection, row_id: PodRowId, run_id: RunId, from_ms: int) -> bool:
    """Record that the run has the pod from then on, and pays for it; True to one caller only.

    False if the pod is not live, or somebody has it: another run, or another lane of this one. A
    pod must not be spoken to for a run before this said True: until then a sweep may end it.
    """
    cursor = conn.execute(
        "INSERT INTO pod_uses (pod_row, run_id, from_ms)"
        " SELECT id, ?, ? FROM pods WHERE id=? AND state='live' AND NOT EXISTS"
        " (SELECT 1 FROM pod_uses WHERE pod_row=pods.id AND to_ms IS NULL)",
        (run_id, from_ms, row_id),
    )
    return cursor.rowcount == 1


def resume_use(conn: Connection, row_id: PodRowId, run_id: RunId, from_ms: int) -> bool:
    """Go on with the use that an earlier command of the run began, or else begin one.

    False if the pod is not live, or another run has it. Which lane of the run has the pod is not
    told apart here: only pods that are handed out once may be asked for (`rental.fleet`).
    """
    if begin_use(conn, row_id, run_id, from_ms):
        return True
    return any(run_id in row.users for row in _rows(conn, "id=?", (row_id,)))


def release_uses(conn: Connection, session_id: SessionId) -> int:
    """End the uses that a dispatcher which died has left open; return how many.

    To be called by the next dispatcher, which holds the lease. A use ends when its dispatcher was
    last heard of. Pods that a run rented and will end stay its own: it pays for them till then.
    """
    cursor = conn.execute(
        "UPDATE pod_uses SET to_ms=max(from_ms, ifnull((SELECT max(seen_ms) FROM sessions"
        " WHERE kind='dispatcher' AND id<>?), from_ms)) WHERE to_ms IS NULL"
        " AND pod_row IN (SELECT id FROM pods WHERE made_by='hand' OR lingers)",
        (session_id,),
    )
    return cursor.rowcount


def heard_ms(conn: Connection, row: PodRow, but: SessionId | None) -> int | None:
    """Return when the last dispatcher that may have spoken to the pod was heard of; None of none.

    One that began after the pod was asked for, and has not used it, is left out with `but`.
    """
    (seen_ms,) = conn.execute(
        "SELECT max(seen_ms) FROM sessions"
        " WHERE kind='dispatcher' AND (id IS NOT ? OR started_ms<=?)",
        (but, row.intended_ms),
    ).fetchone()
    return None if seen_ms is None else int(seen_ms)


def prolong(conn: Connection, row_id: PodRowId, deadline_ms: int) -> bool:
    """Record that a live pod's guard is about to be told of a later deadline."""
    cursor = conn.execute(
        "UPDATE pods SET deadline_ms=? WHERE id=? AND state='live' AND deadline_ms<?",
        (deadline_ms, row_id, deadline_ms),
    )
    return cursor.rowcount == 1


def priced(conn: Connection, row_id: PodRowId, price_micro: int, deadline_ms: int | None) -> bool:
    """Record what a live pod really costs, and when its guard ends it at that price."""
    cursor = conn.execute(
        "UPDATE pods SET price_micro=?, deadline_ms=? WHERE id=? AND state='live'",
        (price_micro, deadline_ms, row_id),
    )
    return cursor.rowcount == 1


def end_use(conn: Connection, row_id: PodRowId, run_id: RunId, now_ms: int) -> bool:
    """Record that the run no longer pays for the pod; return whether it did until now."""
    cursor = conn.execute(
        "UPDATE pod_uses SET to_ms=max(from_ms, ?) WHERE pod_row=? AND run_id=? AND to_ms IS NULL",
        (now_ms, row_id, run_id),
    )
    return cursor.rowcount == 1


def condemn(
    conn: Connection,
    owner: Owner,
    there: Iterable[Listed],
    wanted_since_ms: int,
    now_ms: int,
    *,
    leaderless: bool = False,
) -> list[Orphan]:
    """End in the ledger, and return, the listed pods that nobody needs; the caller ends them truly.

    What is live (`runs.heard`) is read in the same transaction, so that no run begins to use a pod
    in between: see `sweepable`, and `begin_use`, which refuses them from now on. A pod that then
    cannot be ended is found again by the next sweep, for it is ended here and still listed there.
    """
    found = list(there)
    live = runs.heard(conn, wanted_since_ms, leaderless=leaderless)
    rows = [row for pod in found if (row := listed(conn, owner.provider, pod)) is not None]
    orphans = sweepable(owner, found, rows, live, now_ms)
    for orphan in orphans:
        if orphan.row_id is not None:
            ended(conn, orphan.row_id, now_ms, f"swept: {orphan.reason}")
    return orphans


def find(conn: Connection, provider: str, pod_id_or_name: str) -> PodRow | None:
    """Return the provider's pod with that id, else the one with that name, or None."""
    for column in ("pod_id", "name"):
        found = _rows(conn, f"provider=? AND {column}=?", (provider, pod_id_or_name))
        if found:
            return found[0]
    return None


def named(conn: Connection, name: str) -> PodRow | None:
    """Return the pod that was asked for under this name, or None."""
    found = _rows(conn, "name=?", (name,))
    return found[0] if found else None


def listed(conn: Connection, provider: str, pod: Listed) -> PodRow | None:
    """Return the row of a pod that its provider lists, by its id, else by its name; or None."""
    by_id = _rows(conn, "provider=? AND pod_id=?", (provider, pod.pod_id))
    found = by_id or _rows(conn, "provider=? AND name=?", (provider, pod.name))
    return found[0] if found else None


def live(conn: Connection, provider: str) -> list[PodRow]:
    """Return the provider's pods that bill as far as the ledger knows, the oldest first."""
    return _rows(conn, "state='live' AND provider=? ORDER BY id", (provider,))


def unsettled(conn: Connection, provider: str) -> list[PodRow]:
    """Return the pods that it was asked for and whose answer is not known, the oldest first."""
    return _rows(conn, "state='intended' AND provider=? ORDER BY id", (provider,))


def recent(conn: Connection, provider: str, since_ms: int) -> bool:
    """Whether a pod was ended since then: its provider may not have done it."""
    row = conn.execute(
        "SELECT 1 FROM pods WHERE provider=? AND ended_ms>=? LIMIT 1", (provider, since_ms)
    ).fetchone()
    return row is not None


def of_run(conn: Connection, run_id: RunId) -> list[PodRow]:
    """Return the pods that the run rented or used, the oldest first."""
    return _rows(
        conn,
        "id IN (SELECT id FROM pods WHERE run_id=?1 UNION SELECT pod_row FROM pod_uses"
        " WHERE run_id=?1) ORDER BY id",
        (run_id,),
    )


def share(conn: Connection, run_id: RunId, now_ms: int) -> list[Share]:
    """Return the times that the run pays for, the oldest first; open ones last until now."""
    return [use for _, use in _uses(conn, run_id, now_ms)]


def budget(conn: Connection, run_id: RunId, cap: Decimal | None) -> Budget:
    """Return what the run may still spend under this cap."""
    rows = conn.execute(
        "SELECT price_micro, from_ms, to_ms, deadline_ms FROM pod_uses"
        " JOIN pods ON pods.id=pod_row WHERE pod_uses.run_id=? ORDER BY pod_uses.id",
        (run_id,),
    ).fetchall()
    return Budget(
        cap,
        over=total(Share(price, begun, end) for price, begun, end, _ in rows if end is not None),
        running=tuple(
            Running(price, begun, deadline) for price, begun, end, deadline in rows if end is None
        ),
    )


def bill(conn: Connection, run_id: RunId, now_ms: int) -> list[PodBill]:
    """Return what each pod of the run cost until now, the oldest first; not those never made."""
    uses = _uses(conn, run_id, now_ms)
    return [
        PodBill(
            provider=pod.provider,
            pod_id=pod.pod_id,
            gpu=pod.gpu,
            price_micro=pod.price_micro,
            share=total(use for row, use in uses if row == pod.id),
            created_ms=pod.created_ms,
            ended_ms=pod.ended_ms,
            now_ms=now_ms,
        )
        for pod in of_run(conn, run_id)
        if pod.pod_id is not None and pod.created_ms is not None
    ]


def _uses(conn: Connection, run_id: RunId, now_ms: int) -> list[tuple[PodRowId, Share]]:
    rows = conn.execute(
        "SELECT pod_row, price_micro, from_ms, max(from_ms, ifnull(to_ms, ?)) FROM pod_uses"
        " JOIN pods ON pods.id=pod_row WHERE pod_uses.run_id=? ORDER BY pod_uses.id",
        (now_ms, run_id),
    )
    return [(PodRowId(row), Share(*use)) for row, *use in rows]


def _rows(conn: Connection, where: str, values: tuple[object, ...] = ()) -> list[PodRow]:
    return [_row(row) for row in conn.execute(f"{_SELECT} WHERE {where}", values)]


def _row(row: tuple[Any, ...]) -> PodRow:
    columns = dict(zip(_COLUMNS, row, strict=False))
    columns["lingers"] = bool(columns["lingers"])
    return PodRow(**columns, users=frozenset(json.loads(row[-1])))
