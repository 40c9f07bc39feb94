"""Runs pip, which sees none of the pod's keys."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable

from .ending import ENDING, NAMED
from .pod import Broken, say

TRIES = 3
PAUSE_S = 5.0
OF_THE_IMAGE = ("PYTHONPATH", "PYTHONHOME")
FETCHED = re.compile(r"(?:Collecting|Processing) (\S+)")


def by_pip(requirement: str, until_s: float) -> tuple[str, dict[str, str]]:
    """Have pip install captiv into the image's own environment; return as `carried`.

    Raises:
        Broken: it cannot be installed.
    """

    def tried(left_s: float) -> str | None:
        say(f"installing {requirement}")
        return pip(["install", requirement], left_s, lambda _: None)

    patiently(tried, until_s)
    return sys.executable, {}


def patiently(tried: Callable[[float], str | None], until_s: float) -> None:
    """Try it until it is done.

    Raises:
        Broken: no time is left, or it has failed too often.
    """
    reason = "no time was left"
    for _ in range(TRIES):
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            break
        failed = tried(left_s)
        if failed is None:
            return
        reason = failed
        time.sleep(PAUSE_S)
    raise Broken(reason)


def pip(arguments: list[str], limit_s: float, fetches: Callable[[str], None]) -> str | None:
    """Run pip, once; return what it says went wrong, or None."""
    hidden = {"CAPTIV_GUARD_ENDING", *NAMED.findall(ENDING)}
    env = {name: value for name, value in environment().items() if name not in hidden}
    env["PIP_BREAK_SYSTEM_PACKAGES"] = "1"  # the container is the environment
    env["PIP_ROOT_USER_ACTION"] = "ignore"
    options = {"PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    said: list[str] = []
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "pip", *arguments],
            env=dict(env, **options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return f"pip cannot be started: {error.strerror}"
    # What pip started may hold its output open after it: another thread waits for that.
    reader = threading.Thread(target=_repeat, args=(process.stdout, said, fetches), daemon=True)
    reader.start()
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return "pip took too long"
    reader.join(PAUSE_S)
    return None if code == 0 else _reason(said) or f"pip ended with code {code}"


def _repeat(lines: Iterable[str], said: list[str], fetches: Callable[[str], None]) -> None:
    for line in lines:
        print(line, end="", flush=True)  # noqa: T201 - the container's log
        said.append(line.strip())
        found = FETCHED.match(line)
        if found:
            fetches(found.group(1))


def _reason(said: list[str]) -> str:
    """Return pip's first error, which its later ones only conclude from; or its last words."""
    errors = [line[len("ERROR:") :].strip() for line in said if line.startswith("ERROR:")]
    words = [line for line in said if line]
    return next((line for line in errors if line), words[-1] if words else "")


def environment() -> dict[str, str]:
    """Return that of pip and of the guard: modules are found only where they are installed."""
    env = {name: value for name, value in os.environ.items() if name not in OF_THE_IMAGE}
    return dict(env, PYTHONSAFEPATH="1")
