"""Typed settings from file, environment and defaults; where captiv keeps its things; its secret."""

from captiv.settings.paths import Paths
from captiv.settings.schema import DTYPES, MAX_BATCH, Settings
from captiv.settings.secret import Secret, installation_secret, page_key, worker_token
from captiv.settings.sources import Loaded, Origin, load, read

__all__ = [
    "DTYPES",
    "MAX_BATCH",
    "Loaded",
    "Origin",
    "Paths",
    "Secret",
    "Settings",
    "installation_secret",
    "load",
    "page_key",
    "read",
    "worker_token",
]
