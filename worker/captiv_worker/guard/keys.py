"""Keeps the keys of a pod where its worker cannot read them.

A worker of the same user reads the environment of process 1 in `/proc/1/environ`, which shows what
the process was executed with for as long as it lives. So the guard hands the keys to itself: it
writes them into memory that has a file descriptor, executes itself anew without them (the process
stays the same), reads them, and closes the descriptor. Its memory is closed to the worker as well.

All of it is done as far as it can be. A step that fails is logged, by its name and never with a
key, and the guard goes on: it is what ends the pod.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from captiv_worker.guard import ending

_log = logging.getLogger(__name__)

HANDED = "CAPTIV_GUARD_KEYS"
"""Names the descriptor from which a guard that was executed anew reads the keys."""

_SET_DUMPABLE = 4
_CAPBSET_READ = 23
_CAPBSET_DROP = 24
_CAPABILITY_VERSION_3 = 0x20080522
"""Numbers of linux/prctl.h and linux/capability.h."""

_PRYING = {
    "SYS_MODULE": 16,
    "SYS_RAWIO": 17,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "PERFMON": 38,
    "BPF": 39,
}
"""Capabilities that open the memory of others. PERFMON, and so SYS_ADMIN, does it in mm_access()
of newer kernels (seen with 6.18). Containers have none of them unless they were given more."""


def taken(environ: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with its keys, which nobody else can read any more.

    Executes the program anew, and does not return, where they were still in its environment.
    """
    whole = dict(environ)
    handed = _received(whole.pop(HANDED, None))
    if not handed:
        _begin_anew(whole)
    if sys.platform == "linux":
        _close_memory()
    return whole | handed


def _received(number: str | None) -> dict[str, str]:
    """Return what the descriptor of this number holds, and close it."""
    if number is None:
        return {}
    try:
        with open(int(number), "rb") as file:
            keys = json.loads(file.read())
    except (OSError, ValueError) as error:
        _log.error("keys_not_received error=%s", type(error).__name__)
        return {}
    return keys if isinstance(keys, dict) else {}


def _begin_anew(environ: Mapping[str, str]) -> None:
    """Execute this program again, without the keys in its environment; return if it can't be."""
    keys = {name: environ[name] for name in ending.secrets(environ) if environ.get(name)}
    if not keys:
        return
    others = {name: value for name, value in environ.items() if name not in keys}
    try:
        descriptor = os.memfd_create("captiv-keys")
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(keys).encode())
            file.flush()
            file.seek(0)
            os.set_inheritable(descriptor, True)
            program = [sys.executable, *sys.orig_argv[1:]]
            os.execve(sys.executable, program, others | {HANDED: str(descriptor)})
    except Exception as error:  # whatever it is, a guard that starts is worth more
        _log.error("keys_left_in_environment error=%s", type(error).__name__)


def _close_memory() -> None:
    """Close the memory of this process to others of its user, and to its children as root."""
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        left = [] if libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0) == 0 else ["DUMPABLE"]
        if os.geteuid() == 0:
            # What a child has as root, when it is executed, comes of these two sets.
            left += [] if _inherits_nothing(libc) else ["INHERITABLE"]
            left += [name for name, number in _PRYING.items() if not _dropped(libc, number)]
    except Exception as error:  # whatever it is, a guard that starts is worth more
        left = [type(error).__name__]
    if left:
        _log.warning("memory_left_open steps=%s", ",".join(left))


def _inherits_nothing(libc: Any) -> bool:
    """Empty the inheritable set of this thread."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice 32 bits
    if libc.capget(header, sets) != 0:
        return False
    sets[2] = sets[5] = 0
    return bool(libc.capset(header, sets) == 0)


def _dropped(libc: Any, capability: int) -> bool:
    """Take this capability out of the bounding set, where the kernel knows it and it is there."""
    if libc.prctl(_CAPBSET_READ, capability, 0, 0, 0) != 1:
        return True
    return bool(libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) == 0)
