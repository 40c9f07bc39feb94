"""Every text that was ever a caption: appended, never changed, never deleted.

They tell captiv's own text from an edit by hand, and give history and undo. `queue clear` leaves
them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import NamedTuple

from captiv.core.jobs import JobId, Received, RunId
from captiv.core.keeping import Source
from captiv.core.texts import content_hash
from captiv.store.texts import decode_path, encode_path, readable

_COLUMNS = (
    "id, path, text, hash, source, run_id, job_id, model, variant, prompt, settings, seed, tokens,"
    " created_ms"
)


@dataclass(frozen=True, slots=True)
class Caption:
    """One text of one image."""

    id: int
    path: str
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
    """That an image had a text with this hash."""

    hash: str
    source: Source
    job_id: JobId | None


def record(conn: Connection, path: str, text: str, hash: str, source: Source, now_ms: int) -> int:
    """Append a text that no job of captiv's made; return its id."""
    cursor = conn.execute(
        "INSERT INTO captions (path, text, hash, source, created_ms) VALUES (?, ?, ?, ?, ?)",
        (encode_path(path), readable(text), hash, source, now_ms),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def record_answer(conn: Connection, received: Received, now_ms: int) -> int:
    """Append what the model answered for a job; return its id."""
    job, text = received.job, readable(received.text)
    cursor = conn.execute(
        "INSERT INTO captions (path, text, hash, source, run_id, job_id, model, variant, prompt,"
        " settings, seed, tokens, created_ms) VALUES (?, ?, ?, 'model', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            encode_path(job.path),
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
            now_ms,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def history(conn: Connection, path: str) -> list[Caption]:
    """Return every text of the image, the oldest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM captions WHERE path=? ORDER BY id", (encode_path(path),)
    )
    return [_caption(row) for row in rows]


def latest(conn: Connection, path: str) -> Caption | None:
    """Return the last text of the image."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM captions WHERE path=? ORDER BY id DESC LIMIT 1",
        (encode_path(path),),
    ).fetchone()
    return None if row is None else _caption(row)


def has_any(conn: Connection, path: str) -> bool:
    """Whether the image ever had a text that captiv knows of."""
    row = conn.execute("SELECT 1 FROM captions WHERE path=? LIMIT 1", (encode_path(path),))
    return row.fetchone() is not None


def knows(conn: Connection, path: str, hash: str) -> bool:
    """Whether the image ever had this text, whoever wrote it."""
    row = conn.execute(
        "SELECT 1 FROM captions WHERE path=? AND hash=? LIMIT 1", (encode_path(path), hash)
    )
    return row.fetchone() is not None


def sources(conn: Connection, paths: Sequence[str]) -> dict[str, list[Known]]:
    """Return the texts that captiv knows of these images, each image's oldest first.

    Images that it knows nothing of are left out.
    """
    rows = conn.execute(
        "SELECT wanted.value, captions.hash, captions.source, captions.job_id"
        " FROM json_each(?) AS wanted CROSS JOIN captions ON captions.path = wanted.value"
        " ORDER BY wanted.key, captions.id",
        (json.dumps([encode_path(path) for path in dict.fromkeys(paths)]),),
    )
    known: dict[str, list[Known]] = {}
    for path, digest, source, job_id in rows:
        known.setdefault(decode_path(path), []).append(Known(digest, source, job_id))
    return known


def hashes(conn: Connection, paths: Sequence[str]) -> dict[str, set[str]]:
    """Return the hashes of the texts that these images ever had."""
    return {path: {k.hash for k in known} for path, known in sources(conn, paths).items()}


def _caption(row: tuple[int, str, *tuple[object, ...]]) -> Caption:
    id_, path, *rest = row
    return Caption(id_, decode_path(path), *rest)  # type: ignore[arg-type]
