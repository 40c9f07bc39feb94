"""Captions that are added to a text: what was there before, and by which settings it was added."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN found TEXT")
    op.execute("ALTER TABLE captions ADD COLUMN adds TEXT")


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
