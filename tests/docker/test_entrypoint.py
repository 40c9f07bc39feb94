"""What the image runs, run here: the words of the Dockerfile's ENTRYPOINT, CMD and HEALTHCHECK.

`python` is this one, the port another, the engine needs no torch; the rest is as in a container.
scripts/image runs them in the built image.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from captiv.testing.ports import Port
from tests.worker.conftest import AUTH, DEADLINE_S, SCRIPTED, TOKEN, environment, picture, until

from .test_files import DOCKER

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not hasattr(signal, "sigtimedwait"), reason="a guard runs in a Linux container"
    ),
]

DOCKERFILE = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8"))


def words(instruction: str) -> list[str]:
    """Return the words of an instruction's exec form; of several the last one counts."""
    found = re.findall(rf"^{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    said: list[str] = json.loads(found[-1])
    return [sys.executable if word == "python" else word for word in said]


class Container:
    """The image's process 1, and what it started."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.log = folder / "log"
        command = [str(self.port) if word == "8000" else word for word in words("CMD")]
        engine = ["--model", "blip", "--engine", SCRIPTED]
        with self.log.open("w") as log:
            self.first = subprocess.Popen(
                [*words("ENTRYPOINT"), *command, *engine],
                env=environment(CAPTIV_WORKER_TOKEN=TOKEN, CAPTIV_GUARD_FOLDER=str(folder / "g")),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def healthy(self) -> bool:
        """Whether the image's own check says so."""
        check = [*words("HEALTHCHECK .*CMD"), f"http://127.0.0.1:{self.port}/health"]
        done = subprocess.run(check, capture_output=True, check=False, timeout=DEADLINE_S)
        return done.returncode == 0

    def captions(self) -> httpx2.Response:
        return httpx2.post(
            f"http://127.0.0.1:{self.port}/api/caption",
            content=picture(),
            headers=AUTH | {"Content-Type": "image/png"},
            timeout=DEADLINE_S,
        )

    def worker(self) -> int:
        return int(re.findall(r"worker_started pid=(\d+)", self.log.read_text())[-1])

    def lives(self) -> int:
        return self.log.read_text().count("worker_started pid=")


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with closing(Port()) as port:
        started = Container(tmp_path, port.number)
        yield started
        started.first.kill()
        started.first.wait(DEADLINE_S)


def test_process_1_is_the_guard_and_the_user_is_not_root() -> None:
    assert words("ENTRYPOINT")[1:] == ["-m", "captiv_worker.guard"]
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users[-1] == "10001:10001"
    assert re.findall(r"^STOPSIGNAL (\S+)$", DOCKERFILE, re.MULTILINE) == ["SIGTERM"]


@pytest.mark.slow
def test_the_image_captions_outlives_its_worker_and_ends_when_told(container: Container) -> None:
    until(container.healthy)
    assert container.captions().json()["caption"]

    os.kill(container.worker(), signal.SIGKILL)
    until(lambda: container.lives() == 2)
    until(container.healthy)
    assert container.first.poll() is None
    assert container.captions().status_code == 200

    container.first.send_signal(signal.SIGTERM)
    assert container.first.wait(DEADLINE_S) == 0
    assert not container.healthy()
    with pytest.raises(ProcessLookupError):
        os.kill(container.worker(), 0)
