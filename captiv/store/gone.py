"""Sidecars that are gone although their job is done: written again, or captioned again.

A text that captiv has is not computed again. Only where a person removed the sidecar through
captiv, so that nothing is what stood there last, or where the job ended without a text because
something else lay there, the image is to be captioned.
"""

import json
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import NamedTuple

from captiv.core.jobs import Companion, JobId, JobState, RunId
from captiv.core.naming import Place
from captiv.store import counts, standings
from captiv.store.texts import decode_place, encode_place, readable


class DoneJob(NamedTuple):
    """A done job, and what belongs into its sidecar."""

    job_id: JobId
    attempt: int
    place: Place
    text: str | None
    """What stood in its sidecar last; None if the image is to be captioned again."""
    companion: Companion | None = None
    """The object of its answer, of which something stood there last."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is to have its text."""
        beside = () if self.companion is None else (self.companion.sidecar,)
        return (self.place.sidecar, *beside)


def made(
    conn: Connection,
    run_id: RunId,
    places: Sequence[Place],
    *,
    object_of: Callable[[str], str | None] = lambda _: None,
) -> list[DoneJob]:
    """Return those of these places that are done jobs of the run.

    Args: `object_of` names the file of the object that an image's answer is, where it is one.
    """
    rows = conn.execute(
        "SELECT jobs.id, attempt, jobs.path, jobs.sidecar, caption_id IS NOT NULL"
        " FROM json_each(?) AS wanted CROSS JOIN jobs"
        " ON jobs.run_id=? AND jobs.path=json_extract(wanted.value, '$[0]')"
        " AND jobs.sidecar=json_extract(wanted.value, '$[1]') WHERE jobs.state='done'",
        (json.dumps([encode_place(place) for place in places]), run_id),
    ).fetchall()
    return [
        DoneJob(
            *(JobId(id_), attempt, place, _stood(conn, place) if has_text else None),
            companion=_companion(conn, place.image, object_of(place.image)),
        )
        for id_, attempt, path, sidecar, has_text in rows
        for place in [decode_place(path, sidecar)]
    ]


def _companion(conn: Connection, image: str, file: str | None) -> Companion | None:
    text = None if file is None else _stood(conn, Place(image, file))
    return None if file is None or text is None else Companion(file, text)


def _stood(conn: Connection, place: Place) -> str | None:
    """Return the text that stood in a sidecar last; None if that was nothing."""
    levels = standings.levels(conn, place)
    return levels[-1].text if levels and levels[-1].caption is not None else None


def caption_again(conn: Connection, run_id: RunId, done: Sequence[DoneJob]) -> int:
    """Make done jobs of an unfinished run pending again; return how many."""
    anew = ("state='pending'", "finished_ms=NULL", "caption_id=NULL", "found=NULL")
    n = _moved(conn, run_id, done, *anew)
    counts.move(conn, run_id, n, JobState.DONE, JobState.PENDING)
    return n


def written_again(conn: Connection, run_id: RunId, done: Sequence[DoneJob]) -> None:
    """Take note that the sidecars of these done jobs have their text, whatever was kept there."""
    _moved(conn, run_id, done)


def wait_for_file(conn: Connection, run_id: RunId, job: DoneJob, code: str, reason: str) -> None:
    """Have a done job wait for its file again, which cannot be written now, and why."""
    n = _moved(conn, run_id, [job], "state='captioned'", "finished_ms=NULL", "attempt=attempt+1")
    counts.move(conn, run_id, n, JobState.DONE, JobState.CAPTIONED)
    conn.execute(
        "UPDATE jobs SET error_code=?, error=? WHERE id=? AND state='captioned'",
        (code, readable(reason), job.job_id),
    )


def _moved(conn: Connection, run_id: RunId, done: Sequence[DoneJob], *settings: str) -> int:
    """Change done jobs of an unfinished run, none of them kept any more; return how many."""
    n = kept = 0
    for job in done:
        row = conn.execute(
            "SELECT note IS NOT NULL FROM jobs JOIN runs ON runs.id=jobs.run_id"
            " WHERE jobs.id=? AND attempt=? AND jobs.state='done' AND runs.state='active'",
            (job.job_id, job.attempt),
        ).fetchone()
        if row is not None:
            set_ = ", ".join(("note=NULL", *settings))
            conn.execute(f"UPDATE jobs SET {set_} WHERE id=?", (job.job_id,))
            n, kept = n + 1, kept + row[0]
    counts.add_kept(conn, run_id, -kept)
    return n
