"""What a person is told who asked for images where there are none."""

import os
from collections.abc import Sequence

from captiv.cli.show import visible


def no_images(roots: Sequence[str], *, recursive: bool) -> str:
    """Return that no image is in these folders; and of -r, if it could find some."""
    where = f"{'in or below' if recursive else 'in'} {', '.join(visible(root) for root in roots)}"
    if recursive or not any(_has_folders(root) for root in roots):
        return f"There is no image {where}."
    return f"There is no image {where}; -r looks into the folders below, too."


def _has_folders(root: str) -> bool:
    try:
        with os.scandir(root) as entries:
            return any(e.is_dir() and not e.name.startswith(".") for e in entries)
    except OSError:
        return False
