"""A job and a caption belong to an image and one sidecar of it; a run is known by what it asks for.

Which sidecar a text of before was in, is told, in this order, by:

1. the run that made it;
2. the run whose answer took its place in the file (`before_id`);
3. the edit that replaced it, or replaced another text with it;
4. the other texts and jobs of the image, if they all are of one sidecar: whoever writes `.caption`
   files edits those by hand, too;
5. nothing: then it is taken for the `.txt` of the image, where captiv writes and looks unless it is
   told otherwise. Runs that made such texts were cleared, and texts of a person never had one.

Fingerprints are of what is not at its default, and of no limit, so that the same command goes on
with a run of before. Two unfinished runs may have differed in nothing else: of these the one with
the highest limit goes on (without one before all others), for its images are the more, and of
equals the younger. The others lose nothing: they stay unfinished under their old fingerprint, are
named when their folder is captioned, and go on with `captiv queue retry RUN`.

Jobs and captions are copied into new tables: SQLite changes neither a UNIQUE constraint nor adds a
column without a default. Foreign keys are off meanwhile (`captiv.store.migrate`) and looked through
at the end (`env.py`). A million jobs take 45 s of a processor, and their size again on the disk;
the room is used by what comes later.
"""

import json
from collections.abc import Iterable
from sqlite3 import Connection
from typing import NamedTuple

from alembic import op

from captiv.core.naming import sidecar_path
from captiv.core.spec import Captioning, Output, RunSpec, Selection
from captiv.store.texts import decode_path, encode_path

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CAPTIONS = """
CREATE TABLE captions_of_places (
    id INTEGER NOT NULL PRIMARY KEY,
    path TEXT NOT NULL,
    sidecar TEXT NOT NULL,
    text TEXT NOT NULL,
    hash TEXT NOT NULL,
    source TEXT NOT NULL,
    run_id INTEGER,
    job_id INTEGER,
    model TEXT,
    variant TEXT,
    prompt TEXT,
    settings TEXT,
    seed INTEGER,
    tokens INTEGER,
    created_ms INTEGER NOT NULL,
    before_id INTEGER,
    CONSTRAINT source_is_known CHECK (source IN ('model', 'hand', 'import')),
    CONSTRAINT model_of_the_models CHECK ((model IS NOT NULL) = (source = 'model')),
    CONSTRAINT job_of_the_models CHECK ((job_id IS NOT NULL) = (source = 'model'))
) STRICT
"""

JOBS = """
CREATE TABLE jobs_of_places (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES runs (id),
    path TEXT NOT NULL,
    sidecar TEXT NOT NULL,
    state TEXT DEFAULT 'pending' NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    tries INTEGER DEFAULT 0 NOT NULL,
    crashes INTEGER DEFAULT 0 NOT NULL,
    suspect INTEGER DEFAULT 0 NOT NULL,
    session_id INTEGER REFERENCES sessions (id),
    caption_id INTEGER REFERENCES captions (id),
    note TEXT,
    error_code TEXT,
    error TEXT,
    error_text TEXT,
    created_ms INTEGER NOT NULL,
    claimed_ms INTEGER,
    finished_ms INTEGER,
    misses INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT once_in_a_run UNIQUE (run_id, path, sidecar),
    CONSTRAINT state_is_known CHECK (
        state IN ('pending', 'running', 'captioned', 'done', 'failed', 'cancelled')
    ),
    CONSTRAINT suspect_is_a_flag CHECK (suspect IN (0, 1)),
    CONSTRAINT charges_are_counts CHECK (min(attempt, tries, crashes) >= 0),
    CONSTRAINT misses_is_a_count CHECK (misses >= 0),
    CONSTRAINT session_of_the_running CHECK ((session_id IS NOT NULL) = (state = 'running')),
    CONSTRAINT claimed_ms_of_the_running CHECK (claimed_ms IS NOT NULL OR state <> 'running'),
    CONSTRAINT kept_is_done CHECK (note IS NULL OR (note = 'kept' AND state = 'done')),
    CONSTRAINT caption_of_the_captioned CHECK (
        CASE
            WHEN state = 'captioned' THEN caption_id IS NOT NULL
            WHEN state = 'done' THEN caption_id IS NOT NULL OR note IS NOT NULL
            ELSE caption_id IS NULL
        END
    ),
    CONSTRAINT error_of_the_failed CHECK (
        (error_code IS NULL) = (error IS NULL)
        AND (error_code IS NOT NULL OR state <> 'failed')
        AND (error_code IS NULL OR state IN ('failed', 'captioned'))
        AND (error_text IS NULL OR state = 'failed')
    ),
    CONSTRAINT finished_ms_of_the_ended CHECK (
        (finished_ms IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))
    )
) STRICT
"""

NOTES = (
    "CREATE TEMP TABLE outputs (run_id INTEGER PRIMARY KEY, extension TEXT, naming TEXT)",
    "CREATE TEMP TABLE edited (caption_id INTEGER PRIMARY KEY, sidecar TEXT)",
    "CREATE TEMP TABLE untold (path TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TEMP TABLE told (path TEXT PRIMARY KEY, sidecar TEXT) WITHOUT ROWID",
)

OUTPUTS = """
INSERT INTO outputs SELECT
    id,
    ifnull(json_extract(spec, '$.output.extension'), '.txt'),
    ifnull(json_extract(spec, '$.output.naming'), 'stem')
FROM runs
"""

EDITED = """
INSERT OR IGNORE INTO edited SELECT caption_id, sidecar FROM (
    SELECT id, old_id AS caption_id, sidecar FROM edit_changes
    UNION ALL SELECT id, new_id, sidecar FROM edit_changes
)
ORDER BY id
"""

FILL_JOBS = """
INSERT INTO jobs_of_places
SELECT
    jobs.id, jobs.run_id, path, sidecar_of(path, extension, naming), state, attempt, tries, crashes,
    suspect, session_id, caption_id, note, error_code, error, error_text, created_ms, claimed_ms,
    finished_ms, misses
FROM jobs CROSS JOIN outputs ON outputs.run_id = jobs.run_id
ORDER BY jobs.id
"""

FILL_CAPTIONS = """
INSERT INTO captions_of_places
SELECT
    c.id, c.path,
    CASE
        WHEN made.run_id IS NOT NULL THEN sidecar_of(c.path, made.extension, made.naming)
        WHEN over.run_id IS NOT NULL THEN sidecar_of(c.path, over.extension, over.naming)
        ELSE ifnull(edited.sidecar, '')
    END,
    c.text, c.hash, c.source, c.run_id, c.job_id, c.model, c.variant, c.prompt, c.settings, c.seed,
    c.tokens, c.created_ms, c.before_id
FROM captions AS c
LEFT JOIN outputs AS made ON made.run_id = c.run_id
LEFT JOIN captions AS replacing ON replacing.id = c.before_id
LEFT JOIN outputs AS over ON over.run_id = replacing.run_id
LEFT JOIN edited ON edited.caption_id = c.id
ORDER BY c.id
"""

UNTOLD = """
INSERT INTO untold SELECT DISTINCT path FROM captions_of_places WHERE sidecar = ''
"""

TOLD = """
INSERT INTO told SELECT path, min(sidecar) FROM (
    SELECT path, sidecar FROM captions_of_places
    WHERE sidecar <> '' AND path IN (SELECT path FROM untold)
    UNION SELECT path, sidecar FROM jobs_of_places WHERE path IN (SELECT path FROM untold)
)
GROUP BY path HAVING count(*) = 1
"""

GUESS = """
UPDATE captions_of_places SET sidecar = ifnull(
    (SELECT told.sidecar FROM told WHERE told.path = captions_of_places.path),
    sidecar_of(path, '.txt', 'stem')
)
WHERE sidecar = ''
"""

FORGET_LAST_ID = "DELETE FROM sqlite_sequence WHERE name = 'jobs_of_places'"
KEEP_LAST_ID = """
INSERT INTO sqlite_sequence (name, seq)
SELECT 'jobs_of_places', seq FROM sqlite_sequence WHERE name = 'jobs'
"""
"""An id of a job that is gone is not used again."""

REPLACE = (
    "DROP TABLE jobs",
    "DROP TABLE captions",
    "ALTER TABLE captions_of_places RENAME TO captions",
    "ALTER TABLE jobs_of_places RENAME TO jobs",
)

INDEXES = (
    "CREATE INDEX captions_path ON captions (path, id)",
    "CREATE INDEX jobs_run ON jobs (run_id, id)",
    "CREATE INDEX jobs_pending ON jobs (run_id, id) WHERE state = 'pending' AND suspect = 0",
    "CREATE INDEX jobs_suspect ON jobs (run_id, id) WHERE state = 'pending' AND suspect = 1",
    "CREATE INDEX jobs_running ON jobs (run_id, id) WHERE state = 'running'",
    "CREATE INDEX jobs_captioned ON jobs (run_id, id) WHERE state = 'captioned'",
    "CREATE INDEX jobs_failed ON jobs (run_id, id) WHERE state = 'failed'",
)

TRIGGERS = tuple(
    f"CREATE TRIGGER {name} BEFORE {change} ON captions"
    " BEGIN SELECT raise(ABORT, 'captions are append-only'); END"
    for name, change in (
        ("captions_are_not_changed", "UPDATE"),
        ("captions_are_not_deleted", "DELETE"),
    )
)

TIDY = tuple(f"DROP TABLE {name}" for name in ("outputs", "edited", "untold", "told"))


class Asked(NamedTuple):
    """A run, and what it is known by from now on."""

    run_id: int
    fingerprint: str
    active: bool
    limit: int | None


def upgrade() -> None:
    conn = op.get_bind().connection.dbapi_connection
    assert isinstance(conn, Connection)
    conn.create_function("sidecar_of", 3, _sidecar_of, deterministic=True)
    for statement in (
        *(*NOTES, OUTPUTS, EDITED, JOBS, FILL_JOBS, CAPTIONS, FILL_CAPTIONS, UNTOLD, TOLD, GUESS),
        *(FORGET_LAST_ID, KEEP_LAST_ID, *REPLACE, *INDEXES, *TRIGGERS, *TIDY),
    ):
        op.execute(statement)
    _name_runs(conn)


def _sidecar_of(path: str, extension: str, naming: str) -> str:
    image = decode_path(path)
    return encode_path(
        sidecar_path(image, extension=extension, naming="full" if naming == "full" else "stem")
    )


def _name_runs(conn: Connection) -> None:
    """Give every run its fingerprint, but the unfinished ones that another takes it from."""
    asked = [_asked(*row) for row in conn.execute("SELECT id, spec, state FROM runs ORDER BY id")]
    losing = _losing(run for run in asked if run.active)
    # No old fingerprint is like a new one: it was of more.
    conn.executemany(
        "UPDATE runs SET fingerprint = ? WHERE id = ?",
        [(run.fingerprint, run.run_id) for run in asked if run.run_id not in losing],
    )


def _losing(active: Iterable[Asked]) -> set[int]:
    first: dict[str, Asked] = {}
    losing: set[int] = set()
    for run in sorted(active, key=lambda r: (r.limit is None, r.limit or 0, r.run_id)):
        before = first.get(run.fingerprint)
        if before is not None:
            losing.add(before.run_id)
        first[run.fingerprint] = run
    return losing


def _asked(run_id: int, text: str, state: str) -> Asked:
    """Read all of a spec but where it runs, which is no part of what it is known by."""
    values = json.loads(text)
    spec = RunSpec(
        selection=Selection.model_validate(values["selection"]),
        captioning=Captioning.model_validate(values["captioning"]),
        output=Output.model_validate(values.get("output", {})),
    )
    return Asked(run_id, spec.fingerprint(), state == "active", spec.selection.limit)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
