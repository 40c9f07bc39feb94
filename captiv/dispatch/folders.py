"""Tries whether sidecars can be written, before anything is enqueued or paid for."""

import errno
import os

from captiv.core.naming import Place
from captiv.core.spec import Output
from captiv.errors import SidecarError
from captiv.output.sidecar import probe_folder

_DENIED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def try_folder(place: Place, output: Output) -> None:
    """Try that the sidecar of an image can be made. Blocks; makes no folder.

    Raises: SidecarError; it names --output-dir where that would do.
    """
    folder = os.path.dirname(place.sidecar)
    if output.directory is not None:
        folder = _nearest(folder)
    try:
        probe_folder(folder)
    except SidecarError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _DENIED:
            other = "another folder" if output.directory is not None else "a folder of their own"
            hint = f"Or have the captions written into {other}: --output-dir DIR."
            error.hint = f"{error.hint} {hint}" if error.hint else hint
        raise


def _nearest(folder: str) -> str:
    """Return the folder, or the nearest one above it that is there."""
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder
