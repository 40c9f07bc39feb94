"""Process 1 of a pod whose image has no captiv: installs it, and becomes the guard.

It travels as text in the pod's start command (`python -I -c TEXT REQUIREMENT GUARD-ARGUMENT…`), so
it is the standard library alone and imports nothing of captiv's. Any Python from 3.7 on runs it:
one that is too old for captiv is to say so and end the pod, not to crash again and again.

`-I`, and the environment of pip and guard, keep the image's working folder and its `PYTHONPATH`
from hiding what pip installs. The user's `site-packages` stay: there pip installs for a user who
may not write elsewhere.

Until there is a guard, this is what keeps the pod from billing for ever: a container that ends may
be started again. When pip has failed `TRIES` times, or the guard's start-up limit or deadline has
passed, the reason is said. While time is left, whoever reads the log has a moment to end the pod;
then it is ended as its guard would end it (`CAPTIV_GUARD_ENDING`), and again every minute until it
is gone. pip and what it builds do not see the variables that those calls name.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

OLDEST = (3, 11)
TRIES = 3
PAUSE_S = 5.0
AGAIN_S = 60.0
ENDING = os.environ.get("CAPTIV_GUARD_ENDING", "")
OF_THE_IMAGE = ("PYTHONPATH", "PYTHONHOME")
NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def main() -> None:
    """Install, then be the guard; or end the pod."""
    requirement, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    limit_s = float(os.environ.get("CAPTIV_GUARD_STARTUP_S") or 900)
    deadline = float(os.environ.get("CAPTIV_GUARD_DEADLINE") or "inf")
    until_s = time.monotonic() + min(limit_s, deadline - time.time())
    reason = _installed(requirement, until_s)
    if reason is None:
        guard = [sys.executable, "-m", "captiv_worker.guard", *arguments]
        os.execve(sys.executable, guard, _environment())
    _say(f"install_failed {reason}")
    if time.monotonic() < until_s:
        time.sleep(PAUSE_S)
    again = False
    while True:
        _end_pod(again)
        again = True
        time.sleep(AGAIN_S)


def _installed(requirement: str, until_s: float) -> str | None:
    """Install it in time; return why that cannot be done, or None."""
    if sys.version_info < OLDEST:
        old, oldest = (".".join(map(str, version)) for version in (sys.version_info[:2], OLDEST))
        return f"the image has Python {old}; captiv needs {oldest} or newer"
    reason = "no time was left"
    for _ in range(TRIES):
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            break
        failed = _tried(requirement, left_s)
        if failed is None:
            return None
        reason = failed
        time.sleep(PAUSE_S)
    return reason


def _tried(requirement: str, limit_s: float) -> str | None:
    """Let pip install it, once; return what pip says went wrong, or None."""
    pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check"]
    hidden = {"CAPTIV_GUARD_ENDING", *NAMED.findall(ENDING)}
    env = {name: value for name, value in _environment().items() if name not in hidden}
    env["PIP_BREAK_SYSTEM_PACKAGES"] = "1"  # the container is the environment
    env["PIP_ROOT_USER_ACTION"] = "ignore"
    _say(f"installing {requirement}")
    said: list[str] = []
    try:
        process = subprocess.Popen(
            [*pip, requirement],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return f"pip cannot be started: {error.strerror}"
    # What pip started may hold its output open after it: another thread waits for that.
    reader = threading.Thread(target=_repeat, args=(process.stdout, said), daemon=True)
    reader.start()
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return "pip took too long"
    reader.join(PAUSE_S)
    return None if code == 0 else _reason(said) or f"pip ended with code {code}"


def _repeat(lines: Iterable[str], said: list[str]) -> None:
    for line in lines:
        print(line, end="", flush=True)  # noqa: T201 - the container's log
        said.append(line.strip())


def _reason(said: list[str]) -> str:
    """Return pip's first error, which its later ones only conclude from; or its last words."""
    errors = [line[len("ERROR:") :].strip() for line in said if line.startswith("ERROR:")]
    words = [line for line in said if line]
    return next((line for line in errors if line), words[-1] if words else "")


def _environment() -> dict[str, str]:
    """Return that of pip and of the guard: modules are found only where pip installs them."""
    env = {name: value for name, value in os.environ.items() if name not in OF_THE_IMAGE}
    return {**env, "PYTHONSAFEPATH": "1"}


def _end_pod(again: bool) -> None:
    """Make the calls that end this pod, in order; the last resort where none was accepted.

    `again` after a round that did not end it, whatever was answered. Nothing that may repeat a key
    is printed.
    """
    accepted = False
    try:
        for call in json.loads(ENDING):
            if call.get("last_resort") and accepted and not again:
                continue
            outcome = _outcome(call)
            accepted = accepted or outcome.startswith("status=2") or outcome == "status=404"
            _say(f"end_tried method={call['method']} {outcome}")
    except Exception as error:  # whatever it is, the next try comes
        _say(f"end_refused CAPTIV_GUARD_ENDING is wrong or not set: {type(error).__name__}")


def _outcome(call: dict[str, Any]) -> str:
    try:
        url = NAMED.sub(lambda name: urllib.parse.quote(_value(name), safe=""), call["url"])
        body = NAMED.sub(_value, call["body"]).encode() if call.get("body") is not None else None
        request = urllib.request.Request(url, body, method=call["method"])
        request.add_header("User-Agent", "captiv-bootstrap")  # without one, Cloudflare answers 403
        request.add_header("Content-Type", "application/json")
        for name, value in call.get("headers", {}).items():
            request.add_header(name, NAMED.sub(_value, value))
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return f"status={answer.status}"
    except urllib.error.HTTPError as error:
        return f"status={error.code}"
    except Exception as error:  # the other calls may do
        return f"error={type(error).__name__}"


def _value(name: re.Match[str]) -> str:
    return os.environ[name[1]].strip()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Send the key nowhere but where it was meant to go."""


def _say(text: str) -> None:
    print(f"bootstrap {text}", flush=True)  # noqa: T201 - the container's log


if __name__ == "__main__":
    main()
