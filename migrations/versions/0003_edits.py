"""Bulk edits, and which text of which image each one replaced with which."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

EDITS = """
CREATE TABLE edits (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    what TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    undone_ms INTEGER
) STRICT
"""

EDIT_CHANGES = """
CREATE TABLE edit_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    edit_id INTEGER NOT NULL REFERENCES edits (id),
    sidecar TEXT NOT NULL,
    old_id INTEGER NOT NULL REFERENCES captions (id),
    new_id INTEGER NOT NULL REFERENCES captions (id)
) STRICT
"""

INDEXES = ("CREATE INDEX edit_changes_edit ON edit_changes (edit_id, id)",)


def upgrade() -> None:
    for statement in (EDITS, EDIT_CHANGES, *INDEXES):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
