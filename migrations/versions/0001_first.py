"""Runs, their jobs, the captions, and the processes at work."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SESSIONS = """
CREATE TABLE sessions (
    id INTEGER NOT NULL PRIMARY KEY,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    CONSTRAINT kind_is_known CHECK (kind IN ('dispatcher', 'follower'))
) STRICT
"""

RUNS = """
CREATE TABLE runs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    priority INTEGER DEFAULT 0 NOT NULL,
    spec TEXT NOT NULL,
    scanned INTEGER DEFAULT 0 NOT NULL,
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    wanted_by INTEGER REFERENCES sessions (id),
    wanted_ms INTEGER,
    pending INTEGER DEFAULT 0 NOT NULL,
    running INTEGER DEFAULT 0 NOT NULL,
    captioned INTEGER DEFAULT 0 NOT NULL,
    done INTEGER DEFAULT 0 NOT NULL,
    failed INTEGER DEFAULT 0 NOT NULL,
    cancelled INTEGER DEFAULT 0 NOT NULL,
    kept INTEGER DEFAULT 0 NOT NULL,
    skipped INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT state_is_known CHECK (state IN ('active', 'finished', 'cancelled')),
    CONSTRAINT scanned_is_a_flag CHECK (scanned IN (0, 1)),
    CONSTRAINT finished_ms_of_the_ended CHECK ((finished_ms IS NULL) = (state = 'active')),
    CONSTRAINT wanted_by_and_when CHECK ((wanted_by IS NULL) = (wanted_ms IS NULL)),
    CONSTRAINT counters_are_counts CHECK (
        min(pending, running, captioned, done, failed, cancelled, kept, skipped) >= 0
    ),
    CONSTRAINT finished_has_nothing_open CHECK (
        state <> 'finished' OR (scanned = 1 AND pending + running + captioned = 0)
    ),
    CONSTRAINT cancelled_has_nothing_pending CHECK (state <> 'cancelled' OR pending = 0)
) STRICT
"""

CAPTIONS = """
CREATE TABLE captions (
    id INTEGER NOT NULL PRIMARY KEY,
    path TEXT NOT NULL,
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
    CONSTRAINT source_is_known CHECK (source IN ('model', 'hand', 'import')),
    CONSTRAINT model_of_the_models CHECK ((model IS NOT NULL) = (source = 'model')),
    CONSTRAINT job_of_the_models CHECK ((job_id IS NOT NULL) = (source = 'model'))
) STRICT
"""

JOBS = """
CREATE TABLE jobs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES runs (id),
    path TEXT NOT NULL,
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
    CONSTRAINT once_in_a_run UNIQUE (run_id, path),
    CONSTRAINT state_is_known CHECK (
        state IN ('pending', 'running', 'captioned', 'done', 'failed', 'cancelled')
    ),
    CONSTRAINT suspect_is_a_flag CHECK (suspect IN (0, 1)),
    CONSTRAINT charges_are_counts CHECK (min(attempt, tries, crashes) >= 0),
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

INDEXES = (
    "CREATE UNIQUE INDEX runs_active ON runs (fingerprint) WHERE state = 'active'",
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


def upgrade() -> None:
    for statement in (SESSIONS, RUNS, CAPTIONS, JOBS, *INDEXES, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
