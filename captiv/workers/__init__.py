"""Where captions come from: a worker is a URL and a token, wherever it runs."""

from captiv.workers.client import WorkerClient
from captiv.workers.local import LocalWorker
from captiv.workers.machine import machine
from captiv.workers.source import Address, Client, Ended, Traits, WorkerSource
from captiv.workers.transport import check_transport
from captiv.workers.url import UrlWorker

__all__ = [
    "Address",
    "Client",
    "Ended",
    "LocalWorker",
    "Traits",
    "UrlWorker",
    "WorkerClient",
    "WorkerSource",
    "check_transport",
    "machine",
]
