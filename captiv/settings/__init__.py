"""Typed settings from file, environment and defaults; where captiv keeps its things; its secret."""

from captiv.settings.paths import Paths
from captiv.settings.schema import Settings
from captiv.settings.secret import Secret, installation_secret, worker_token
from captiv.settings.sources import Loaded, Origin, load, read

__all__ = [
    "Loaded",
    "Origin",
    "Paths",
    "Secret",
    "Settings",
    "installation_secret",
    "load",
    "read",
    "worker_token",
]
