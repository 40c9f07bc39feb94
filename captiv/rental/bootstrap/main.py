"""Process 1 of a pod whose image has no captiv: gets it, installs it, and becomes the guard.

It travels as text in the pod's start command, so it is the standard library alone and imports
nothing of captiv's. Any Python from 3.7 on runs it: one that is too old for captiv is to say so and
end the pod, not to crash again and again. There are two roads:

- `CAPTIV_CARRY_SHA256` is set: captiv brings its worker to the door (`door`), and what that needs
  is installed beside the image's packages (`carried`);
- else the first argument is what pip is asked for, in the image's own environment (`installer`).

The other arguments are the guard's.

`-I`, and the environment of pip and guard, keep the image's working folder and its `PYTHONPATH`
from hiding what is installed.

Until there is a guard, this is what keeps the pod from billing for ever: a container that ends may
be started again. When nothing came, pip has failed `TRIES` times, or the guard's start-up limit or
deadline has passed, the reason is said. While time is left, whoever reads it has a moment to end
the pod; then it is ended as its guard would end it (`CAPTIV_GUARD_ENDING`), and again every minute
until it is gone. pip and what it builds do not see the variables that those calls name.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import NoReturn

from .carried import carried
from .door import open_door
from .ending import end_pod
from .installer import PAUSE_S, by_pip, environment
from .limits import limits
from .pod import CARRIED, Broken, Pod, option, say

OLDEST = (3, 11)
AGAIN_S = 60.0


def main() -> None:
    """Be the guard, or end the pod."""
    arguments = sys.argv[1:]
    requirement = "" if CARRIED else arguments.pop(0)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    pod = Pod(option(arguments, "--name") or "worker")
    limit_s = model_s = time.monotonic()
    try:
        open_door(pod, arguments)
        limit_s, model_s = limits()
        _require_python()
        python, more = carried(pod, limit_s) if CARRIED else by_pip(requirement, limit_s)
    except Broken as broken:
        _give_up(pod, str(broken), early=time.monotonic() < limit_s)
    left_s = max(1.0, model_s - time.monotonic())
    become = dict(environment(), CAPTIV_GUARD_STARTUP_S=f"{left_s:g}", **more)
    os.execve(python, [python, "-m", "captiv_worker.guard", *arguments], become)


def _require_python() -> None:
    if sys.version_info < OLDEST:
        old, oldest = (".".join(map(str, found)) for found in (sys.version_info[:2], OLDEST))
        raise Broken(f"the image has Python {old}; captiv needs {oldest} or newer")


def _give_up(pod: Pod, reason: str, *, early: bool) -> NoReturn:
    """Say why, and end the pod; while it is `early`, whoever asks has a moment to end it first."""
    pod.failed = f"captiv cannot be installed in it: {reason}"
    say(f"install_failed {reason}")
    if early:
        time.sleep(PAUSE_S)
    again = False
    while True:
        end_pod(again)
        again = True
        time.sleep(AGAIN_S)
