"""The log file: one line of key=value pairs an event, rotated by size, without secrets.

Several captivs write to it at once. Each line is one append; whoever finds the file too long
renames it, and the others notice and open the new one. `hide` names a secret, which no line will
then show. On the terminal a person sees what is logged as `captiv.notice`; `--verbose` adds
warnings, `--debug` everything.
"""

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

from captiv.errors import ConfigurationError

MAX_BYTES = 5_000_000
KEPT_FILES = 3

_bound: ContextVar[tuple[tuple[str, object], ...]] = ContextVar("bound", default=())
_hidden: set[str] = set()
_looks_secret = re.compile(
    r"\brpa_[A-Za-z0-9]{8,}"
    # Not the word in "invalid bearer token", which servers say of one that they refuse.
    r"|(?<=[Bb]earer )(?!tokens?[.,;:]*(?:[\s'\"]|$))[^\s'\"]+"
)


@contextlib.contextmanager
def bound(**values: object) -> Iterator[None]:
    """Put these pairs (run, job, attempt) on every line that is logged inside."""
    token = _bound.set((*_bound.get(), *values.items()))
    try:
        yield
    finally:
        _bound.reset(token)


def hide(secret: str) -> None:
    """Never show this text in a log or a traceback."""
    if secret:
        _hidden.add(secret)


def without_secrets(text: str) -> str:
    """Return `text` with the secrets that captiv knows of, or recognises, as stars."""
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, "********")
    return _looks_secret.sub("********", text)


def start(file: Path, *, debug: bool = False, verbose: bool = False) -> None:
    """Log to `file` from now on, and to the terminal what these options ask for."""
    logger = logging.getLogger("captiv")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.addHandler(LogFile(file))
    logger.addHandler(
        _Terminal(logging.DEBUG if debug else logging.WARNING, every=debug or verbose)
    )


def started() -> bool:
    """Whether `start` was called."""
    return any(isinstance(h, LogFile) for h in logging.getLogger("captiv").handlers)


class Lines(logging.Formatter):
    """One line a record, with what is bound, and a traceback as one escaped value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        pairs: list[tuple[str, object]] = [
            ("time", f"{stamp}.{int(record.msecs):03d}Z"),
            ("level", record.levelname.lower()),
            ("pid", record.process),
            ("logger", record.name),
            *_bound.get(),
            ("event", record.getMessage()),
        ]
        if record.exc_info:
            pairs.append(("traceback", self.formatException(record.exc_info)))
        return without_secrets(" ".join(f"{key}={_value(value)}" for key, value in pairs))


class LogFile(WatchedFileHandler):
    """A log file of mode 0600 that several processes append to and rotate.

    One that cannot be written is given up in silence: a full disk must not end a run that could
    still caption.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8", errors="backslashreplace", delay=True)
        self.setFormatter(Lines())
        self._given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line."""
        if self._given_up:
            return
        from captiv.settings.paths import private_folder

        try:
            private_folder(Path(self.baseFilename).parent)
            super().emit(record)
            if self.stream and self.stream.tell() > MAX_BYTES:
                self._rotate()
        except (OSError, ConfigurationError):
            self._given_up = True

    def handleError(self, record: logging.LogRecord) -> None:
        """Give the file up; the default prints a traceback over a progress bar."""
        self._given_up = isinstance(sys.exc_info()[1], OSError)

    def _open(self) -> Any:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        handle = os.open(self.baseFilename, flags, 0o600)
        return open(handle, "a", encoding=self.encoding, errors=self.errors)

    def _rotate(self) -> None:
        """Shift captiv.log to captiv.log.1 and so on; a race with another process costs a file."""
        names = [Path(self.baseFilename)]
        names += [Path(f"{self.baseFilename}.{n}") for n in range(1, KEPT_FILES + 1)]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            with contextlib.suppress(OSError):
                newer.replace(older)


class _Terminal(logging.Handler):
    """What a person sees: notices, and with `every` whatever has the level."""

    def __init__(self, level: int, *, every: bool) -> None:
        super().__init__(level)
        self._every = every

    def emit(self, record: logging.LogRecord) -> None:
        if self._every or record.name == "captiv.notice":
            stream: TextIO = sys.stderr
            with contextlib.suppress(OSError, ValueError):
                stream.write(without_secrets(f"captiv: {record.getMessage()}") + "\n")


def _value(value: object) -> str:
    text = str(value)
    if text and all(c.isprintable() and c not in ' "=' for c in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(c if c.isprintable() else _escaped(c) for c in escaped) + '"'


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
