"""${message}"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "..."}


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
