"""Which command held a run last, and with which exit code it ended, for those who watch the run.

Of the commands of before nobody knows: what became of the images tells the code.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN held_by INTEGER REFERENCES sessions (id)",
    """
    ALTER TABLE runs ADD COLUMN exit_code INTEGER
    CONSTRAINT exit_code_of_the_held CHECK (exit_code IS NULL OR held_by IS NOT NULL)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
