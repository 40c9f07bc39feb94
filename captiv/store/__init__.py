"""The job table: the only place with SQL."""

from sqlite3 import Connection

from captiv.store import (
    captions,
    edits,
    holding,
    ingest,
    jobs,
    lease,
    pods,
    runs,
    standings,
    starts,
)
from captiv.store.connection import Store
from captiv.store.lease import Lease

__all__ = [
    "Connection",
    "Lease",
    "Store",
    "adding",
    "captions",
    "edits",
    "holding",
    "ingest",
    "jobs",
    "lease",
    "pods",
    "runs",
    "standings",
    "starts",
]
