"""What a person is told who asked for images where there are none."""

import os
from collections.abc import Mapping, Sequence

from captiv.cli.show import visible
from captiv.core.unread import told


def no_images(roots: Sequence[str], *, recursive: bool) -> str:
    """Return that no image is in these folders; and of -r, if it could find some."""
    where = f"{'in or below' if recursive else 'in'} {', '.join(visible(root) for root in roots)}"
    if recursive or not any(_has_folders(root) for root in roots):
        return f"There is no image {where}."
    return f"There is no image {where}; -r looks into the folders below, too."


def not_read(unread: Mapping[str, int]) -> str:
    """Return what lies beside the images and is passed over, by kind."""
    those = "it" if sum(unread.values()) == 1 else "them"
    return f"Not read: {told(unread)}. To caption {those}, save {those} as JPEG or PNG."


def _has_folders(root: str) -> bool:
    try:
        with os.scandir(root) as entries:
            return any(e.is_dir() and not e.name.startswith(".") for e in entries)
    except OSError:
        return False
