"""Every text that was ever a caption: appended, never changed, never deleted.

A text belongs to a place: an image and one sidecar of it. They tell captiv's own text from an edit
by hand, and give history and undo. `queue clear` leaves them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import NamedTuple

from captiv.core.jobs import JobId, Received, RunId
from captiv.core.keeping import Source
from captiv.core.naming import Place
from captiv.core.texts import content_hash
from captiv.store.texts import decode_path, decode_place, encode_path, encode_place, readable

_COLUMNS = (
    "id, path, sidecar, text, hash, source, run_id, job_id, model, variant, prompt, settings, seed,"
    " tokens, created_ms"
)


@dataclass(frozen=True, slots=True)
class Caption:
    """One text of one sidecar."""

    id: int
    place: Place
    text: str
    hash: str
    source: Source
    run_id: RunId | None
    job_id: JobId | None
    model: str | None
    variant: str | None
    prompt: str | None
    settings: str | None
    seed: int | None
    tokens: int | None
    created_ms: int


class Known(NamedTuple):
    """That a place had a text with this hash."""

    hash: str
    source: Source
    job_id: JobId | None


class News(NamedTuple):
    """That a text came into the store."""

    id: int
    place: Place
    hash: str


def record(
    conn: Connection, place: Place, text: str, hash: str, source: Source, now_ms: int
) -> int:
    """Append a text that no job of captiv's made; return its id."""
    cursor = conn.execute(
        "INSERT INTO captions (path, sidecar, text, hash, source, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*encode_place(place), readable(text), hash, source, now_ms),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def record_replaced(
    conn: Connection, place: Place, text: str, source: Source, job_id: JobId, now_ms: int
) -> None:
    """Append a text whose place the answer of this job takes, and so stands before it."""
    conn.execute(
        "INSERT INTO captions (path, sidecar, text, hash, source, before_id, created_ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5, (SELECT max(id) FROM captions WHERE path=?1 AND sidecar=?2"
        " AND job_id=?6), ?7)",
        (*encode_place(place), readable(text), content_hash(text), source, job_id, now_ms),
    )


def record_answer(conn: Connection, received: Received, now_ms: int) -> int:
    """Append what the model answered for a job, and the object beside it; return the text's id."""
    answer = _record_answer(conn, received, received.job.place, received.text, now_ms)
    if received.companion is not None:
        place = Place(received.job.path, received.companion.sidecar)
        _record_answer(conn, received, place, received.companion.text, now_ms)
    return answer


def _record_answer(
    conn: Connection, received: Received, place: Place, text: str, now_ms: int
) -> int:
    job, text = received.job, readable(text)
    cursor = conn.execute(
        "INSERT INTO captions (path, sidecar, text, hash, source, run_id, job_id, model, variant,"
        " prompt, settings, seed, tokens, adds, created_ms)"
        " VALUES (?, ?, ?, ?, 'model', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *encode_place(place),
            text,
            content_hash(text),
            job.run_id,
            job.id,
            received.model,
            received.variant,
            None if received.prompt is None else readable(received.prompt),
            received.settings,
            received.seed,
            received.tokens,
            received.adds,
            now_ms,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def record_added(conn: Connection, answer: int, text: str, *, by_hand: bool, now_ms: int) -> int:
    """Append the text that an answer makes with the one that it is added to; return its id.

    It is a person's, and no run's to replace, if that one was.
    """
    text = readable(text)
    of_the_model = ("run_id", "job_id", "model", "variant", "prompt", "settings", "seed", "tokens")
    copied = ", ".join(f"iif(?, NULL, {column})" for column in of_the_model)
    cursor = conn.execute(
        f"INSERT INTO captions (path, sidecar, {', '.join(of_the_model)}, text, hash, source, adds,"
        f" created_ms) SELECT path, sidecar, {copied}, ?, ?, ?, adds, ? FROM captions WHERE id=?",
        (
            *([by_hand] * len(of_the_model)),
            *(text, content_hash(text), "hand" if by_hand else "model", now_ms, answer),
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def history(conn: Connection, place: Place) -> list[Caption]:
    """Return every text of the place, in the order in which the sidecar had them."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM captions WHERE path=? AND sidecar=?"
        " ORDER BY ifnull(before_id, id), before_id IS NULL, id",
        encode_place(place),
    )
    return [_caption(row) for row in rows]


def texts(conn: Connection, place: Place) -> list[tuple[int, str]]:
    """Return id and text of every text of the place, in the order of `history`."""
    return conn.execute(
        "SELECT id, text FROM captions WHERE path=? AND sidecar=?"
        " ORDER BY ifnull(before_id, id), before_id IS NULL, id",
        encode_place(place),
    ).fetchall()


def of_run(conn: Connection, run_id: RunId, limit: int) -> list[tuple[str, str]]:
    """Return path and text of the first captions that a run has brought, in its order."""
    rows = conn.execute(
        "SELECT jobs.path, captions.text FROM jobs JOIN captions ON captions.id=jobs.caption_id"
        " WHERE jobs.run_id=? ORDER BY jobs.id LIMIT ?",
        (run_id, limit),
    )
    return [(decode_path(path), readable(text)) for path, text in rows]


def per_second(conn: Connection, run_id: RunId, last: int | None = None) -> list[tuple[int, int]]:
    """Return the seconds in which captions of a run came, in milliseconds, and how many in each.

    With `last`, of its last so many jobs: a run of a million is not read for its speed.
    """
    rows = conn.execute(
        "SELECT captions.created_ms / 1000, count(*) FROM"
        " (SELECT caption_id FROM jobs WHERE run_id=? AND caption_id IS NOT NULL"
        "  ORDER BY id DESC LIMIT ?) AS ended"
        " JOIN captions ON captions.id=ended.caption_id GROUP BY 1 ORDER BY 1",
        (run_id, -1 if last is None else last),
    )
    return [(second * 1000, n) for second, n in rows]


def latest(conn: Connection, place: Place) -> Caption | None:
    """Return the last text of the place."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM captions WHERE path=? AND sidecar=? ORDER BY id DESC LIMIT 1",
        encode_place(place),
    ).fetchone()
    return None if row is None else _caption(row)


def last_sidecar(conn: Connection, image: str, sidecars: Sequence[str]) -> str | None:
    """Return the one of these sidecars that got a text of this image last, or None."""
    encoded = [encode_place(Place(image, sidecar)) for sidecar in sidecars]
    row = conn.execute(
        "SELECT path, sidecar FROM captions WHERE path=?"
        " AND sidecar IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT 1",
        (encode_path(image), json.dumps([sidecar for _, sidecar in encoded])),
    ).fetchone()
    return None if row is None else decode_place(*row).sidecar


def has_any(conn: Connection, place: Place) -> bool:
    """Whether the place ever had a text that captiv knows of."""
    row = conn.execute(
        "SELECT 1 FROM captions WHERE path=? AND sidecar=? LIMIT 1", encode_place(place)
    )
    return row.fetchone() is not None


def knows(conn: Connection, place: Place, hash: str) -> bool:
    """Whether the place ever had this text, whoever wrote it."""
    return id_of(conn, place, hash) is not None


def id_of(conn: Connection, place: Place, hash: str) -> int | None:
    """Return the id of the last text of the place with this hash, or None."""
    row = conn.execute(
        "SELECT max(id) FROM captions WHERE path=? AND sidecar=? AND hash=?",
        (*encode_place(place), hash),
    ).fetchone()
    return row[0]  # type: ignore[no-any-return]


def record_found(conn: Connection, place: Place, text: str, now_ms: int) -> None:
    """Keep a text that is about to be replaced, unless it is known.

    One that captiv finds in a sidecar whose texts it knows is an edit by hand.
    """
    digest = content_hash(text)
    if knows(conn, place, digest):
        return
    record(conn, place, text, digest, "hand" if has_any(conn, place) else "import", now_ms)


def last_id(conn: Connection) -> int:
    """Return the id of the newest text of all, 0 if there is none."""
    (newest,) = conn.execute("SELECT ifnull(max(id), 0) FROM captions").fetchone()
    return int(newest)


def since(conn: Connection, after_id: int, limit: int) -> list[News]:
    """Return the texts that came after that id, the oldest first."""
    rows = conn.execute(
        "SELECT id, path, sidecar, hash FROM captions WHERE id>? ORDER BY id LIMIT ?",
        (after_id, limit),
    )
    return [News(id_, decode_place(path, file), digest) for id_, path, file, digest in rows]


def sources(conn: Connection, places: Sequence[Place]) -> dict[Place, list[Known]]:
    """Return the texts that captiv knows of these places, each place's oldest first.

    Places that it knows nothing of are left out.
    """
    rows = conn.execute(
        "SELECT captions.path, captions.sidecar, captions.hash, captions.source, captions.job_id"
        " FROM json_each(?) AS wanted CROSS JOIN captions"
        " ON captions.path=json_extract(wanted.value, '$[0]')"
        " AND captions.sidecar=json_extract(wanted.value, '$[1]')"
        " ORDER BY wanted.key, captions.id",
        (json.dumps([encode_place(place) for place in dict.fromkeys(places)]),),
    )
    known: dict[Place, list[Known]] = {}
    for path, file, digest, source, job_id in rows:
        known.setdefault(decode_place(path, file), []).append(Known(digest, source, job_id))
    return known


def hashes(conn: Connection, places: Sequence[Place]) -> dict[Place, set[str]]:
    """Return the hashes of the texts that these places ever had."""
    return {place: {k.hash for k in known} for place, known in sources(conn, places).items()}


def _caption(row: tuple[int, str, str, *tuple[object, ...]]) -> Caption:
    id_, path, sidecar, *rest = row
    return Caption(id_, decode_place(path, sidecar), *rest)  # type: ignore[arg-type]
