"""Changes the configuration file: one value at a time, everything else left as the person wrote it.

A change is read, edited and put in place under a lock, so that two writers lose nothing. The new
text goes to a temporary file in the same folder, is flushed to the disk and renamed over the old
one, with mode 0600. A symlinked file is changed where it really is. A file that is not TOML is
never touched.
"""

import contextlib
import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captiv.errors import ConfigurationError
from captiv.settings.paths import private_folder
from captiv.settings.sources import parse_file

BINARY = getattr(os, "O_BINARY", 0)
"""Windows writes a line's end twice into what is opened without it."""

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

LOCK_TIMEOUT_S = 10.0


def set_value(path: Path, section: str, name: str, value: Any) -> None:
    """Put one value into the file, making file and section if they are not there.

    Raises:
        ConfigurationError: the file is malformed, locked, or cannot be written; it is unchanged.
    """

    def put(document: "TOMLDocument") -> None:
        import tomlkit

        if section not in document:
            document[section] = tomlkit.table()
        table = document[section]
        if not isinstance(table, dict):
            raise ConfigurationError(
                f"{path}: {section} is no section there.", hint=f"Write [{section}] above its keys."
            )
        table[name] = value

    _edit(path, put)


def unset_value(path: Path, section: str, name: str) -> bool:
    """Take one value out of the file; return whether it was there. Errors as `set_value`."""
    taken: list[str] = []

    def take(document: "TOMLDocument") -> None:
        table = document.get(section)
        if isinstance(table, dict) and name in table:
            del table[name]
            taken.append(name)
            if not table:
                del document[section]

    _edit(path, take)
    return bool(taken)


def clear(path: Path, section: str | None = None) -> list[str]:
    """Take out one section, or all; return the names of the values that were there.

    Comments above the first section stay. Errors as `set_value`.
    """
    taken: list[str] = []

    def take(document: "TOMLDocument") -> None:
        for name in [section] if section else list(document):
            table = document.get(name)
            if table is None:
                continue
            taken.extend(f"{name}.{k}" for k in table) if isinstance(table, dict) else taken.append(
                name
            )
            del document[name]

    _edit(path, take)
    return taken


def _edit(path: Path, change: Callable[["TOMLDocument"], None]) -> None:
    import tomlkit

    real = Path(os.path.realpath(path))
    private_folder(real.parent)
    with _locked(real):
        parsed = parse_file(real)
        before = parsed[0] if parsed else ""
        document = tomlkit.parse(before)
        change(document)
        after = document.as_string()
        if after != before:
            _checked(real, after, document.unwrap())
            _put_in_place(real, after)


@contextlib.contextmanager
def _locked(real: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(real.with_name(f".{real.name}.lock"), timeout=LOCK_TIMEOUT_S, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigurationError(
            f"Another captiv is changing {real}.", hint="Try again in a moment."
        ) from error
    except OSError as error:
        raise _unwritable(real, error) from error
    try:
        yield
    finally:
        lock.release()


def _checked(real: Path, text: str, meant: dict[str, Any]) -> None:
    """Refuse to write what would not be read back as it is meant."""
    try:
        same = tomllib.loads(text) == meant
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise ConfigurationError(
            f"captiv cannot change {real} without spoiling it.", hint="Change it by hand."
        )


def _put_in_place(real: Path, text: str) -> None:
    temporary = real.with_name(f".{real.name}.{os.getpid()}.tmp")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()  # of an earlier process with this id that died here
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600)
        with open(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(real)
        flush_folder(real.parent)
    except OSError as error:
        raise _unwritable(real, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def flush_folder(folder: Path) -> None:
    """Have a rename in `folder` survive a power cut, where the system can do that."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(real: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The configuration file {real} cannot be written: {error.strerror or error}.",
        hint="Nothing was changed. Free some space or right the folder's permissions.",
    )
