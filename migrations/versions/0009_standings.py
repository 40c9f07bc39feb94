"""What stood in each sidecar, in order: undo goes back through it, and edits are a part of it.

A change of an edit becomes two rows: what it replaced, standing on the change before of the same
sidecar, and what it put there. All else that stood is told by the captions.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STANDINGS = """
CREATE TABLE standings (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL,
    sidecar TEXT NOT NULL,
    caption_id INTEGER REFERENCES captions (id),
    data BLOB,
    under_id INTEGER,
    newest_id INTEGER NOT NULL,
    edit_id INTEGER REFERENCES edits (id),
    CONSTRAINT data_of_a_caption CHECK (data IS NULL OR caption_id IS NOT NULL)
) STRICT
"""

CHANGES = """
CREATE TEMP TABLE changes_0007 AS
SELECT edit_changes.id, path, edit_changes.sidecar, old_id, new_id, edit_id,
    lag(edit_changes.id) OVER (
        PARTITION BY path, edit_changes.sidecar ORDER BY edit_changes.id
    ) AS before
FROM edit_changes JOIN captions ON captions.id = old_id
"""

OLD = """
INSERT INTO standings (id, path, sidecar, caption_id, under_id, newest_id)
SELECT 2 * id - 1, path, sidecar, old_id, 2 * before, old_id FROM changes_0007 ORDER BY id
"""

NEW = """
INSERT INTO standings (id, path, sidecar, caption_id, under_id, newest_id, edit_id)
SELECT 2 * id, path, sidecar, new_id, 2 * id - 1, new_id, edit_id FROM changes_0007 ORDER BY id
"""

STATEMENTS = (
    STANDINGS,
    CHANGES,
    OLD,
    NEW,
    "DROP TABLE changes_0007",
    "DROP TABLE edit_changes",
    "CREATE INDEX standings_path ON standings (path, id)",
    "CREATE INDEX standings_edit ON standings (edit_id, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
