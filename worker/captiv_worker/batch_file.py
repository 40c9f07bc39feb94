"""Remembers on disk which keys are on the device, so that a crash has its suspects.

The file is written before each batch and removed after it. A process that dies in between leaves
it behind; the next one reads it once. It is replaced by rename, which is whole after any death of
the process; it is not flushed to the disk, because after a power cut nobody is suspect.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

_log = logging.getLogger(__name__)


class BatchFile:
    """The keys of the running batch, in a file or, without a path, nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def take_suspects(self) -> frozenset[str]:
        """Return the keys that a previous life left behind, and remove the file."""
        if self._path is None:
            return frozenset()
        try:
            keys = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return frozenset()
        self.clear()
        return frozenset(str(key) for key in keys) if isinstance(keys, list) else frozenset()

    def write(self, keys: Sequence[str]) -> None:
        """Name the batch that is about to run; a disk that cannot be written is only logged."""
        if self._path is None:
            return
        part = self._path.with_name(self._path.name + ".part")
        try:
            part.write_text(json.dumps(list(keys)), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            _log.warning("batch_file_unwritable error=%s", error.strerror)

    def clear(self) -> None:
        """Say that no batch is running."""
        if self._path is None:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("batch_file_unwritable error=%s", error.strerror)
