"""Whether a file is really in the opened folder, links followed; and how it is opened then."""

import os
import stat

from captiv.errors import ImageMissing

# ruff: noqa: PTH118


class Inside:
    """Knows what lies under one folder."""

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._prefix = os.path.join(self._root, "")

    def holds(self, path: str) -> bool:
        """Tell whether `path`, whatever links it goes through, ends in the folder."""
        real = os.path.realpath(path)
        return real == self._root or real.startswith(self._prefix)

    def real(self, path: str) -> str:
        """Return where the image at `path` really lies.

        Raises:
            ImageMissing: outside of the folder, gone, or no file.
        """
        real = os.path.realpath(path)
        try:
            regular = stat.S_ISREG(os.lstat(real).st_mode)
        except (OSError, ValueError):
            raise ImageMissing("the file is gone since it was found") from None
        if not regular or not real.startswith(self._prefix):
            raise ImageMissing("the file is a link that leaves the opened folder")
        return real
