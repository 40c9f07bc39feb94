"""What failed before, and of what that was a try; who waits behind others.

Of a failure of before nobody knows what the image was, so it is tried once more and known then.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE jobs ADD COLUMN file_size INTEGER",
    "ALTER TABLE jobs ADD COLUMN file_mtime_ns INTEGER",
    "ALTER TABLE jobs ADD COLUMN asked TEXT",
    """
    ALTER TABLE jobs ADD COLUMN postponed INTEGER NOT NULL DEFAULT 0
    CONSTRAINT postponed_is_a_count CHECK (postponed >= 0)
    """,
    "DROP INDEX jobs_pending",
    """
    CREATE INDEX jobs_pending ON jobs (run_id, postponed, id)
    WHERE state = 'pending' AND suspect = 0
    """,
    "DROP INDEX jobs_suspect",
    """
    CREATE INDEX jobs_suspect ON jobs (run_id, crashes, id)
    WHERE state = 'pending' AND suspect = 1
    """,
    "CREATE INDEX jobs_failed_place ON jobs (path, sidecar) WHERE state = 'failed'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
