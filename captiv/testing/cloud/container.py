"""Process 0 of a simulated pod: holds one life of its container, and ends all of it.

A program of the standard library alone, run by its path so that it starts in milliseconds:

- its first line of standard input is JSON: `argv`, `env` and `cwd` of the container's process 1;
- the container writes to this program's standard output;
- later lines are orders: `term` signals process 1, `others` kills all processes but it, `kill` all;
- when standard input closes, by `kill -9` of the cloud too, every process of the container is
  killed: also those that left the process group, for this program adopts orphans (Linux).

It exits when process 1 has exited, with its code, or with 128 and the number of its signal.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_KILLED = 128 + signal.SIGKILL


def main() -> NoReturn:
    """Run one life of a container."""
    spec = json.loads(_first_line())
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    first = _start(spec)
    code = _watch(first, wake)
    _kill_all()
    os._exit(code)


def _watch(first: int, wake: int) -> int:
    """Obey orders until process 1 has exited; return its code."""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            code = _reap(first)
            if code is not None:
                return code
        if 0 in ready:
            orders = os.read(0, 4096)
            if not orders or b"kill" in orders:
                return _KILLED
            if b"term" in orders:
                _signal(first, signal.SIGTERM)
            if b"others" in orders:
                for pid in descendants(os.getpid()):
                    if pid != first:
                        _signal(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the processes below this one, nearest first; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            fields = entry.read_text().rsplit(")", 1)[1].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = list(children.get(pid, ()))
    for each in found:
        found += children.get(each, ())
    return found


def _start(spec: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.chdir(spec["cwd"])
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
    except OSError as error:
        sys.stderr.write(f"exec {spec['argv'][0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _reap(first: int) -> int | None:
    """Take leave of every process that has exited; return the code of process 1 if it is one."""
    code = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == first:
                ended = os.waitstatus_to_exitcode(status)
                code = ended if ended >= 0 else 128 - ended
    return code


def _kill_all() -> None:
    """Kill until nothing is left: what is killed may just have started something."""
    while True:
        for pid in descendants(os.getpid()):
            _signal(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 1)
        if not more:
            os._exit(_KILLED)
        line += more
    return line


if __name__ == "__main__":
    main()
