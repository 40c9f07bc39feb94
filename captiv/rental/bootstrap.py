"""Process 1 of a pod whose image has no captiv: installs it, and becomes the guard.

It travels as text in the pod's start command (`python -c TEXT REQUIREMENT GUARD-ARGUMENT…`), so it
is the standard library alone, of any Python that captiv runs on, and imports nothing of captiv's.

Until there is a guard, this is what keeps the pod from billing for ever: a container that ends may
be started again. When pip has failed `TRIES` times, or the guard's start-up limit or deadline has
passed, the pod is ended as its guard would end it (`CAPTIV_GUARD_ENDING`), and again every minute
until it is gone. pip and what it builds do not see the variables that those calls name.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

TRIES = 3
PAUSE_S = 5.0
AGAIN_S = 60.0
ENDING = os.environ.get("CAPTIV_GUARD_ENDING", "")
NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def main() -> None:
    """Install, then be the guard; or end the pod."""
    requirement, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    limit_s = float(os.environ.get("CAPTIV_GUARD_STARTUP_S") or 900)
    deadline = float(os.environ.get("CAPTIV_GUARD_DEADLINE") or "inf")
    until_s = time.monotonic() + min(limit_s, deadline - time.time())
    for _ in range(TRIES):
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            break
        if _install(requirement, left_s):
            guard = [sys.executable, "-m", "captiv_worker.guard", *arguments]
            os.execv(sys.executable, guard)
        time.sleep(PAUSE_S)
    _say("install_failed; the pod is ended")
    again = False
    while True:
        _end_pod(again)
        again = True
        time.sleep(AGAIN_S)


def _install(requirement: str, limit_s: float) -> bool:
    """Tell whether pip has installed it in time."""
    pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check"]
    hidden = {"CAPTIV_GUARD_ENDING", *NAMED.findall(ENDING)}
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env["PIP_BREAK_SYSTEM_PACKAGES"] = "1"  # the container is the environment
    env["PIP_ROOT_USER_ACTION"] = "ignore"
    _say(f"installing {requirement}")
    try:
        return subprocess.run([*pip, requirement], env=env, timeout=limit_s).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        _say(f"pip_failed {type(error).__name__}")
        return False


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
