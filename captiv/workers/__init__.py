"""Where captions come from: a worker is a URL and a token, wherever it runs."""

from captiv.workers.client import WorkerClient, check_transport
from captiv.workers.local import LocalWorker
from captiv.workers.source import Address, Ended, OnPhase, WorkerSource
from captiv.workers.url import UrlWorker

__all__ = [
    "Address",
    "Ended",
    "LocalWorker",
    "OnPhase",
    "UrlWorker",
    "WorkerClient",
    "WorkerSource",
    "check_transport",
]
