"""A pod of an image that is not captiv's: nothing of captiv is in it until it installs itself.

It installs the wheel of this tree from a folder, without any network.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from captiv.testing.cloud import Cloud, Pod, running
from tests.cases import sampled
from tests.roads import BARE_IMAGE, Road, by_pip
from tests.support import SCRIPTED, Home, finish, until
from tests.testing.conftest import Account
from tests.wheels import REPOSITORY

from .test_rented import calls, cost_is_the_bill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

LOOKS = """\
import importlib.metadata, importlib.util, shutil
for name in ("captiv", "captiv_worker", "captiv.wire", "starlette", "torch"):
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    print(name, "is", "there" if found else "absent", flush=True)
print("captiv is", shutil.which("captiv") or "no command", flush=True)
print("metadata:", "captiv" in {d.name for d in importlib.metadata.distributions()}, flush=True)
"""


@contextmanager
def bare(home: Home, road: Road, batch_s: float = 0.0) -> Iterator[Cloud]:
    """Point an installation at a cloud whose pods install captiv and run the torch-free engine."""
    engine = json.dumps({"batch_s": batch_s})
    worker_args = ("--engine", SCRIPTED, "--engine-options", engine)
    with running(worker_args=worker_args, env=road.env) as cloud:
        home.env |= {
            **cloud.environment,
            **road.settings,
            "CAPTIV_RUNPOD_LOST_AFTER": "60",
            "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "200",
        }
        yield cloud


def log_of(pod: Pod) -> str:
    return "\n".join(pod.log.texts("container"))


def test_captiv_is_in_the_container_once_it_is_installed_and_not_before(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is where this process finds its modules and commands, and in its working folder."""
    for folder in (REPOSITORY, REPOSITORY / "worker"):
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.chdir(REPOSITORY)

    install = f"pip install -q --no-index --find-links {wheel.parent} captiv"
    with running() as cloud:
        account = Account(cloud)
        pod = cloud.pod(
            account.pod(
                image=BARE_IMAGE,
                entrypoint=[
                    "bash",
                    "-c",
                    'eval "$LOOK"; eval "$INSTALL"; eval "$LOOK"; sleep 1000',
                ],
                env={"LOOK": 'python -c "$LOOKS"', "LOOKS": LOOKS, "INSTALL": install},
            )
        )
        until(lambda: log_of(pod).count("metadata:") == 2 or "Traceback" in log_of(pod))
        log = log_of(pod)
        account.close()

    before, after = log.split("metadata: False\n")
    for module in ("captiv", "captiv_worker", "captiv.wire"):
        assert f"{module} is absent" in before
        assert f"{module} is there" in after
    assert "captiv is no command" in before
    assert f"captiv is {pod.disk / 'python' / 'bin' / 'captiv'}" in after
    assert "metadata: True" in after
    for layer in ("starlette", "torch"):
        assert f"{layer} is there" in before


def test_a_pod_that_installs_captiv_captions_and_is_gone(home: Home, wheel: Path) -> None:
    truth = home.scenes(30)
    with bare(home, by_pip(wheel)) as cloud:
        ended = home.generate("--runpod", "--fallback", "fail", timeout=280)
        ended_s, alive = time.time(), cloud.pods_alive()
        (pod,) = cloud.pods()

    assert ended.code == 0, (ended, log_of(pod))
    assert len(home.captions()) == len(truth)
    assert alive == []
    cost_is_the_bill(home, cloud, ended_s)
    assert pod.lives == 1
    assert wheel.name in log_of(pod)
    assert "Successfully installed captiv-" in log_of(pod)


@pytest.mark.parametrize(
    ("image", "package", "words"),
    sampled(
        (BARE_IMAGE, "captiv[local]>=99", "Could not find a version that satisfies"),
        ("runpod/base:too-old", "captiv[local]", "the image has Python 3.9; captiv needs 3.11"),
        ("runpod/base:no-pip", "captiv[local]", "No module named pip"),
        ("runpod/base:no-space", "captiv[local]", "No space left on device"),
        keep=2,
    ),
)
def test_where_captiv_cannot_be_installed_one_pod_is_ended_once_and_the_reason_said(
    home: Home, wheel: Path, image: str, package: str, words: str
) -> None:
    home.scenes(3)
    with bare(home, by_pip(wheel, image=image, package=package)) as cloud:
        ended = home.generate("--runpod", timeout=280)
        (pod,) = cloud.pods()
        alive, made = cloud.pods_alive(), calls(cloud, "POST")
        ends = [c.status for c in cloud.history if c.operation in ("delete_pod", "terminate_pod")]

    assert ended.code == 3, (ended, log_of(pod))
    assert "captiv cannot be installed in it: " in ended.err
    assert words in ended.err
    assert "Python 3.11 or newer, pip, and room" in ended.err
    assert "Going on" not in ended.err
    assert "bootstrap install_failed" in log_of(pod)
    assert words in log_of(pod)
    assert (made, alive, pod.lives) == (1, [], 1)
    assert ends.count(204) == 1
    assert home.captions() == {}


def test_a_container_restarted_with_a_wiped_disk_installs_again_and_goes_on(
    home: Home, wheel: Path
) -> None:
    truth = home.scenes(24)
    with bare(home, by_pip(wheel), batch_s=0.3) as cloud:
        account = Account(cloud)
        process = home.start_generate("--runpod", "--fallback", "fail", "--batch-size", "2")
        until(lambda: bool(home.captions()), "a caption")
        (pod,) = cloud.pods()
        account.act(pod.id, "restart")
        ended = finish(process, timeout=200)
        account.close()
        made, alive = calls(cloud, "POST"), cloud.pods_alive()

    assert ended.code == 0, (ended, log_of(pod))
    assert len(home.captions()) == len(truth)
    assert log_of(pod).count("Successfully installed captiv-") == 2
    assert (made, alive, pod.lives) == (1, [], 2)
