"""Starts a command that must not outlive whoever started this program. Standard library only.

    python launch.py COMMAND ...

Standard input is a pipe of the starter's. When that closes, however the starter ended, the command
is asked to end, and soon after the whole process group is killed: this program is the leader of one
of its own. If this program is killed instead, the kernel kills the command (Linux), and the starter
kills what is left of the group.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading

GRACE_S = 5.0
"""How long the command may take to end by itself: it frees shared memory then."""

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command; return its exit code, 128 and more for a signal."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()

    def die_with_parent() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    # No thread runs yet, so that the child may run Python before it becomes the command.
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    alone = threading.Event()
    end = threading.Thread(target=_end_with_starter, args=(child, alone), daemon=True)
    end.start()
    code = child.wait()
    if alone.is_set() or _starter_ended():
        end.join()  # nobody else kills what the command leaves behind
    return code if code >= 0 else 128 - code


def _starter_ended() -> bool:
    """Whether it ended just now: the thread that waits for that may not have seen it yet."""
    pipe = select.poll()
    pipe.register(0, 0)
    return any(event & select.POLLHUP for _, event in pipe.poll(0))


def _end_with_starter(child: "subprocess.Popen[bytes]", alone: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    alone.set()
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
