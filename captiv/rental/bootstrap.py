"""Process 1 of a pod whose image has no captiv: installs it, and becomes the guard.

It travels as text in the pod's start command (`python -c TEXT REQUIREMENT GUARD-ARGUMENT…`), so it
is the standard library alone, of any Python that captiv runs on, and imports nothing of captiv's.

Until there is a guard, this is what keeps the pod from billing for ever, for RunPod starts a
container again that ends. When pip has failed `TRIES` times, or the guard's start-up limit or
deadline has passed, the pod is ended through RunPod's API with the key that RunPod put into it, and
again every minute until it is gone. pip and what it builds do not see that key.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

TRIES = 3
PAUSE_S = 5.0
AGAIN_S = 60.0


def main() -> None:
    """Install, then be the guard; or end the pod."""
    requirement, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    limit_s = float(os.environ.get("CAPTIV_GUARD_STARTUP_S") or 900)
    deadline = float(os.environ.get("CAPTIV_GUARD_DEADLINE") or "inf")
    until_s = time.monotonic() + min(limit_s, deadline - time.time())
    for _ in range(TRIES):
        if _install(requirement, until_s - time.monotonic()):
            guard = [sys.executable, "-m", "captiv_worker.guard", *arguments]
            os.execv(sys.executable, guard)
        time.sleep(PAUSE_S)
    _say("install_failed; the pod is ended")
    while True:
        _end_pod()
        time.sleep(AGAIN_S)


def _install(requirement: str, limit_s: float) -> bool:
    """Tell whether pip has installed it in time."""
    pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check"]
    env = {name: value for name, value in os.environ.items() if name != "RUNPOD_API_KEY"}
    env["PIP_BREAK_SYSTEM_PACKAGES"] = "1"  # the container is the environment
    env["PIP_ROOT_USER_ACTION"] = "ignore"
    _say(f"installing {requirement}")
    try:
        return subprocess.run([*pip, requirement], env=env, timeout=max(0, limit_s)).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        _say(f"pip_failed {type(error).__name__}")
        return False


def _end_pod() -> None:
    """Ask RunPod to end this pod, in both ways that there are."""
    api = os.environ.get("CAPTIV_RUNPOD_API_URL") or "https://api.runpod.io"
    url = f"{api}/v2/pods/{os.environ.get('RUNPOD_POD_ID', '')}"
    terminate = json.dumps({"action": "terminate"}).encode()
    for method, where, body in (("POST", f"{url}/action", terminate), ("DELETE", url, None)):
        headers = {
            "Authorization": "Bearer " + os.environ.get("RUNPOD_API_KEY", ""),
            "Content-Type": "application/json",
            "User-Agent": "captiv-bootstrap",  # without one, Cloudflare answers 403
        }
        request = urllib.request.Request(where, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                _say(f"end_tried method={method} status={answer.status}")
        except urllib.error.HTTPError as error:
            _say(f"end_tried method={method} status={error.code}")
        except Exception as error:  # whatever it is, the next try comes
            _say(f"end_tried method={method} error={type(error).__name__}")


def _say(text: str) -> None:
    print(f"bootstrap {text}", flush=True)  # noqa: T201 - the container's log


if __name__ == "__main__":
    main()
