"""The installation's secret: made once, kept in a file of mode 0600, and never sent anywhere.

Each worker's token is an HMAC of its name under this secret, so that every process of the
installation can speak to a worker that another one started, and no token has to be stored.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from captiv.errors import ConfigurationError
from captiv.settings.file import BINARY, flush_folder
from captiv.settings.paths import private_folder

notice = logging.getLogger("captiv.notice")

_PURPOSE = b"captiv worker token\0"
_PAGE_PURPOSE = b"captiv page\0"


@dataclass(frozen=True, slots=True)
class Secret:
    """Who this installation is."""

    id: str
    """Public name of the installation: 12 hex digits."""
    key: bytes = field(repr=False)
    """32 random bytes."""


def installation_secret(path: Path) -> Secret:
    """Return the secret kept at `path`, made now if there is none. Two processes get the same one.

    A file that others may read is closed to them, and that is said.

    Raises:
        ConfigurationError: it cannot be made, read or closed, or is damaged.
    """
    try:
        if not path.exists():
            _make(path)
        _close_to_others(path)
        return _parse(path)
    except OSError as error:
        raise ConfigurationError(
            f"captiv cannot use its secret {path}: {error.strerror or error}."
        ) from error


def worker_token(secret: Secret, worker_name: str) -> str:
    """Return the token that this installation's worker of that name accepts: 64 hex digits."""
    return hmac.new(secret.key, _PURPOSE + worker_name.encode(), hashlib.sha256).hexdigest()


def page_key(secret: Secret, folder: str) -> bytes:
    """Return the key that signs who may see this folder on this installation's page."""
    what = _PAGE_PURPOSE + folder.encode("utf-8", "surrogatepass")
    return hmac.new(secret.key, what, hashlib.sha256).digest()


def _make(path: Path) -> None:
    """Write the file whole under another name, then link it in place: the first process wins."""
    folder = private_folder(path.parent)
    temporary = folder / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    content = {"id": secrets.token_hex(6), "key": secrets.token_hex(32)}
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600)
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())
        _put_if_none(temporary, path)
        flush_folder(folder)
    finally:
        temporary.unlink(missing_ok=True)


def _put_if_none(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        from filelock import FileLock

        with FileLock(path.with_name(f".{path.name}.lock"), mode=0o600):
            if not path.exists():
                temporary.replace(path)


def _close_to_others(path: Path) -> None:
    if os.name != "nt" and path.stat().st_mode & 0o077:
        path.chmod(0o600)
        notice.warning(
            "%s could be read by other users of this machine; it is closed to them now. If you do "
            "not trust them, end captiv's workers and delete the file.",
            path,
        )


def _parse(path: Path) -> Secret:
    try:
        content = json.loads(path.read_text("ascii"))
        secret = Secret(str(content["id"]), bytes.fromhex(content["key"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if len(secret.key) < 32 or not secret.id:
        raise _damaged(path)
    return secret


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"captiv's secret {path} is damaged.",
        hint="Delete it, and captiv makes a new one, which workers that still run do not know.",
    )
