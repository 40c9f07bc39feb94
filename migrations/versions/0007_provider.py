"""Whose pods: the ledger carries the provider, and takes whatever pools of hosts one has.

Every pod of an earlier version was RunPod's. The CHECK that knew RunPod's two clouds can only go
with the table, so both tables are copied and made anew, the one that refers to the other first.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PODS = """
CREATE TABLE pods (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    pod_id TEXT,
    state TEXT DEFAULT 'intended' NOT NULL,
    made_by TEXT NOT NULL,
    run_id INTEGER,
    lingers INTEGER DEFAULT 0 NOT NULL,
    gpu TEXT NOT NULL,
    cloud TEXT NOT NULL,
    price_micro INTEGER NOT NULL,
    version TEXT NOT NULL,
    url TEXT,
    deadline_ms INTEGER,
    intended_ms INTEGER NOT NULL,
    created_ms INTEGER,
    ended_ms INTEGER,
    end_reason TEXT,
    CONSTRAINT name_is_used_once UNIQUE (name),
    CONSTRAINT state_is_known CHECK (state IN ('intended', 'live', 'ended')),
    CONSTRAINT made_by_is_known CHECK (made_by IN ('run', 'hand')),
    CONSTRAINT run_of_the_rented CHECK ((run_id IS NOT NULL) = (made_by = 'run')),
    CONSTRAINT lingers_is_a_flag CHECK (lingers IN (0, 1)),
    CONSTRAINT price_is_a_price CHECK (price_micro >= 0),
    CONSTRAINT pod_id_of_the_arrived CHECK (
        CASE state
            WHEN 'intended' THEN pod_id IS NULL
            WHEN 'live' THEN pod_id IS NOT NULL
            ELSE 1
        END
        AND (pod_id IS NULL) = (created_ms IS NULL)
        AND (pod_id IS NULL) = (url IS NULL)
    ),
    CONSTRAINT end_of_the_ended CHECK (
        (ended_ms IS NOT NULL) = (state = 'ended')
        AND (end_reason IS NOT NULL) = (state = 'ended')
    )
) STRICT
"""

POD_USES = """
CREATE TABLE pod_uses (
    id INTEGER NOT NULL PRIMARY KEY,
    pod_row INTEGER NOT NULL REFERENCES pods (id),
    run_id INTEGER NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER,
    CONSTRAINT ends_after_it_began CHECK (to_ms IS NULL OR to_ms >= from_ms)
) STRICT
"""

_KEPT = (
    "name, pod_id, state, made_by, run_id, lingers, gpu, cloud, price_micro, version, url,"
    " deadline_ms, intended_ms, created_ms, ended_ms, end_reason"
)

_USES = "id, pod_row, run_id, from_ms, to_ms"

STATEMENTS = (
    "CREATE TABLE uses_0006 AS SELECT * FROM pod_uses",
    "CREATE TABLE pods_0006 AS SELECT * FROM pods",
    "DROP TABLE pod_uses",
    "DROP TABLE pods",
    PODS,
    POD_USES,
    f"INSERT INTO pods (id, provider, {_KEPT}) SELECT id, 'runpod', {_KEPT} FROM pods_0006",
    f"INSERT INTO pod_uses ({_USES}) SELECT {_USES} FROM uses_0006",
    "DROP TABLE pods_0006",
    "DROP TABLE uses_0006",
    "CREATE UNIQUE INDEX pods_pod_id ON pods (provider, pod_id) WHERE pod_id IS NOT NULL",
    "CREATE INDEX pods_live ON pods (id) WHERE state = 'live'",
    "CREATE INDEX pods_intended ON pods (id) WHERE state = 'intended'",
    "CREATE INDEX pods_run ON pods (run_id, id) WHERE run_id IS NOT NULL",
    "CREATE UNIQUE INDEX pod_uses_open ON pod_uses (pod_row, run_id) WHERE to_ms IS NULL",
    "CREATE INDEX pod_uses_run ON pod_uses (run_id, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("captiv keeps a copy of the table from before: captiv.db.bak-VERSION")
