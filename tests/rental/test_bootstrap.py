"""The start command that installs captiv: a real process, with something small in pip's place."""

import ast
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from captiv.rental.bootstrap import text
from captiv.rental.bootstrap.installer import PAUSE_S
from captiv.testing.cloud.bare import SPOILED, Layers
from tests.cases import sampled
from tests.endings import ANOTHERS_KEY, ELSEWHERE, KEY, POD, Api, api_held

pytestmark = pytest.mark.allow_blocking

TEXT = text()
PIP = """\
import json, os, pathlib, sys
home = pathlib.Path(__file__).parent
pathlib.Path("pip.json").write_text(json.dumps([sys.path, dict(os.environ)]))
guard = home / "captiv_worker"
guard.mkdir()
(guard / "__init__.py").touch()
(guard / "guard.py").write_text(
    "import json, os, sys; print(json.dumps([sys.argv[1:], sys.path, dict(os.environ)]))"
)
"""
"""A pip that keeps what it sees, and installs a guard that tells what it sees."""

TRAP = "import os; print('the wrong one', flush=True); os._exit(7)"

Starting = Callable[..., "subprocess.Popen[str]"]


@dataclass(frozen=True)
class Image:
    """An environment of its own, and the folder in which its processes start."""

    python: Path
    packages: Path
    folder: Path


@pytest.fixture
def image(tmp_path: Path) -> Image:
    python, folder = tmp_path / "python", tmp_path / "folder"
    folder.mkdir()
    Layers.made(tmp_path / "layers").give_python(python, "an/image:no-pip")
    (packages,) = python.glob("lib/*/site-packages")
    return Image(python / "bin" / "python", packages, folder)


@pytest.fixture
def api() -> Iterator[Api]:
    with api_held() as held:
        held.up()
        yield held


@pytest.fixture
def starting(image: Image) -> Iterator[Starting]:
    """Start containers that see nothing of this environment."""
    with ExitStack() as stack:

        def start(**env: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [str(image.python), "-I", "-c", TEXT, "./none.whl", "--port", "0"],
                env={"PATH": os.defpath} | env,
                cwd=image.folder,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def said(process: "subprocess.Popen[str]", lines: int) -> str:
    """Return its first lines, and end it as a cloud would."""
    assert process.stdout is not None
    log = "".join(process.stdout.readline() for _ in range(lines))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    return log + process.stdout.read()


def test_pip_sees_no_key_and_the_guard_that_it_installs_does(
    starting: Starting, image: Image
) -> None:
    (image.packages / "pip.py").write_text(PIP)
    named = json.dumps([{"method": "GET", "url": "http://x/", "headers": {"Key": "a ${KEY}"}}])
    process = starting(CAPTIV_GUARD_ENDING=named, KEY=KEY, HF_TOKEN="hf_for_the_worker")
    out, _ = process.communicate(timeout=60)

    arguments, _, guards = json.loads(out.splitlines()[-1])
    _, pips = json.loads((image.folder / "pip.json").read_text())
    assert arguments == ["--port", "0"]
    assert (guards["KEY"], guards["CAPTIV_GUARD_ENDING"]) == (KEY, named)
    assert KEY not in pips.values()
    assert "CAPTIV_GUARD_ENDING" not in pips
    assert pips["HF_TOKEN"] == "hf_for_the_worker"


def test_nothing_of_the_images_folder_or_pythonpath_hides_what_is_installed(
    starting: Starting, image: Image, tmp_path: Path
) -> None:
    (image.packages / "pip.py").write_text(PIP)
    (tmp_path / "elsewhere").mkdir()
    for folder in (image.folder, tmp_path / "elsewhere"):
        for module in ("json", "signal", "urllib", "pip", "captiv_worker"):
            (folder / f"{module}.py").write_text(TRAP)

    out, _ = starting(PYTHONPATH=str(tmp_path / "elsewhere")).communicate(timeout=30)

    _, seen_by_guard, guards = json.loads(out.splitlines()[-1])
    seen_by_pip, _ = json.loads((image.folder / "pip.json").read_text())
    assert "the wrong one" not in out
    assert seen_by_guard == seen_by_pip
    assert "" not in seen_by_guard
    assert guards["PYTHONSAFEPATH"] == "1", "the worker that the guard starts sees the same"
    assert "PYTHONPATH" not in guards


def test_any_python_that_is_too_old_understands_it() -> None:
    ast.parse(TEXT, feature_version=(3, 7))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pip", "tries", "words"),
    sampled(
        (None, 3, "No module named pip"),
        ("import sys; print('ERROR: First.\\nERROR: Then.'); sys.exit(1)", 3, "First."),
        ("import sys; print('only this', file=sys.stderr); sys.exit(1)", 3, "only this"),
        ("import sys; sys.exit(5)", 3, "pip ended with code 5"),
        keep=2,
    ),
)
def test_the_reason_is_said_and_the_log_can_be_read_before_the_pod_is_ended(
    starting: Starting, api: Api, image: Image, pip: str | None, tries: int, words: str
) -> None:
    if pip is not None:
        (image.packages / "pip.py").write_text(pip)
    process = starting(**api.runpods())
    assert process.stdout is not None
    log = ""
    while "install_failed" not in log:
        log += process.stdout.readline()
    said_s = time.monotonic()
    rest = process.stdout.readline()
    passed_s = time.monotonic() - said_s
    rest += said(process, 1)

    assert passed_s > PAUSE_S / 2
    assert log.count("bootstrap installing") == tries
    assert log.splitlines()[-1].endswith(words)
    assert rest.count("end_tried") == 2


@pytest.mark.slow
def test_an_image_whose_python_is_too_old_says_so_without_a_try(
    starting: Starting, image: Image
) -> None:
    (image.packages / "sitecustomize.py").write_text(SPOILED["too-old"])

    log = said(starting(), 1)

    assert "install_failed the image has Python 3.9; captiv needs 3.11 or newer" in log


@pytest.mark.slow
def test_a_pip_that_takes_too_long_is_given_up(starting: Starting, image: Image) -> None:
    (image.packages / "pip.py").write_text("import time; time.sleep(1000)")

    log = said(starting(CAPTIV_GUARD_STARTUP_S="0.5"), 3)

    assert "install_failed pip took too long" in log


def test_a_pod_whose_time_is_over_is_ended_by_runpods_calls(starting: Starting, api: Api) -> None:
    log = said(starting(CAPTIV_GUARD_DEADLINE="1", **api.runpods()), 3)

    action, delete = api.calls
    assert (action.method, action.path) == ("POST", f"/v2/pods/{POD}/action")
    assert (delete.method, delete.path) == ("DELETE", f"/v2/pods/{POD}")
    assert json.loads(action.body) == {"action": "terminate"}
    for call in api.calls:
        assert call.headers["authorization"] == f"Bearer {KEY}"
        assert call.headers["user-agent"] == "captiv-bootstrap"
        assert call.headers["content-type"] == "application/json"
    assert log.count("status=204") == 2
    assert "bootstrap installing" not in log
    assert KEY not in log


def test_a_pod_whose_key_may_not_terminate_it_is_stopped(starting: Starting, api: Api) -> None:
    api.status = 403
    log = said(starting(CAPTIV_GUARD_DEADLINE="1", **api.runpods()), 4)

    assert [(call.method, call.body and json.loads(call.body)) for call in api.calls] == [
        ("POST", {"action": "terminate"}),
        ("DELETE", ""),
        ("POST", {"action": "stop"}),
    ]
    assert log.count("status=403") == 3


def test_the_calls_of_another_cloud_are_made_in_order(starting: Starting, api: Api) -> None:
    log = said(starting(CAPTIV_GUARD_DEADLINE="1", **api.anothers()), 3)

    put, get = api.calls
    assert (put.method, put.path) == ("PUT", "/machines/eu%2F7%20%C3%BC?zone=a%26b%3Dc")
    assert put.body == "end eu/7 ü"
    assert (put.headers["x-key"], put.headers["x-account"]) == (ANOTHERS_KEY, "me")
    assert put.headers["content-type"] == "a/b"
    assert (get.method, get.path) == ("GET", "/goodbye")
    assert ANOTHERS_KEY not in log


def test_a_redirect_is_no_success_and_gets_no_key(starting: Starting, api: Api) -> None:
    api.status = 302
    log = said(starting(CAPTIV_GUARD_DEADLINE="1", **api.runpods()), 4)

    assert ELSEWHERE not in {call.path for call in api.calls}
    assert log.count("status=302") == 3
    assert "status=200" not in log


def test_a_variable_that_is_not_set_keeps_no_other_call_from_being_made(
    starting: Starting, api: Api
) -> None:
    given = api.anothers()
    del given["ZONE"]
    log = said(starting(CAPTIV_GUARD_DEADLINE="1", **given), 3)

    assert [call.method for call in api.calls] == ["GET"]
    assert "method=PUT error=KeyError" in log


@pytest.mark.parametrize("ending", ["", "{", "[1]", '[{"method": "GET"}]', "[" * 50_000])
def test_calls_that_cannot_be_understood_end_no_container(starting: Starting, ending: str) -> None:
    process = starting(CAPTIV_GUARD_DEADLINE="1", CAPTIV_GUARD_ENDING=ending)
    log = said(process, 2)

    assert "install_failed" in log
    assert "end_refused CAPTIV_GUARD_ENDING" in log or "end_tried method=GET error=" in log
