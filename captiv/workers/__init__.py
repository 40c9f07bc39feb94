"""Where captions come from: a worker is a URL and a token, wherever it runs."""

from captiv.workers.checking import findings
from captiv.workers.client import Supply, WorkerClient
from captiv.workers.contact import FIRST_CONTACT_S
from captiv.workers.local import LocalWorker
from captiv.workers.machine import machine
from captiv.workers.source import MOMENT_S, Address, Check, Client, Ended, Traits, WorkerSource
from captiv.workers.transport import check_transport
from captiv.workers.url import UrlWorker

__all__ = [
    "FIRST_CONTACT_S",
    "MOMENT_S",
    "Address",
    "Check",
    "Client",
    "Ended",
    "LocalWorker",
    "Supply",
    "Traits",
    "UrlWorker",
    "WorkerClient",
    "WorkerSource",
    "check_transport",
    "findings",
    "machine",
]
