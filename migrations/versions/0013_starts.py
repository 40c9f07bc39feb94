"""How long pods took to start, by what took it: what the next one is expected to take."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE starts (
        pod_row INTEGER NOT NULL PRIMARY KEY REFERENCES pods (id),
        model TEXT NOT NULL,
        dtype TEXT NOT NULL,
        download_bytes INTEGER,
        host_ms INTEGER NOT NULL,
        download_ms INTEGER NOT NULL,
        load_ms INTEGER NOT NULL,
        CONSTRAINT times_are_times CHECK (host_ms >= 0 AND download_ms >= 0 AND load_ms >= 0)
    ) STRICT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
