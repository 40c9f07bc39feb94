import socket
import subprocess
import sys

import pytest
from captiv_worker.healthcheck import main

from .conftest import DEADLINE_S, Hold, Serve


def test_a_ready_worker_is_healthy(serve: Serve) -> None:
    assert main(f"{serve().url}/health", timeout_s=DEADLINE_S) == 0


def test_a_loading_worker_is_not_and_says_so(
    serve: Serve, hold: Hold, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve(script=hold.load, ready=False)

    assert main(f"{served.url}/health", timeout_s=DEADLINE_S) == 1
    assert '"status":"loading"' in capsys.readouterr().err


def test_nobody_is_not_healthy() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/health"
        done = subprocess.run(
            [sys.executable, "-m", "captiv_worker.healthcheck", url],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    assert done.returncode == 1
    assert "nobody answers" in done.stderr
