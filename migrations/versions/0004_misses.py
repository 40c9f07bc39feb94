"""How many answers for an image, and in a run, were no caption."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("runs", "jobs"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN misses INTEGER NOT NULL DEFAULT 0"
            " CONSTRAINT misses_is_a_count CHECK (misses >= 0)"
        )


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
