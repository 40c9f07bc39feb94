"""What cannot begin is found out before there is a run; what is found later is nobody's burden."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from captiv.core.jobs import Run
from captiv.store import Store, runs
from captiv.testing.chat import ChatServer
from captiv.testing.cloud import running
from tests.editing.conftest import sealed
from tests.serving import started_by_hand
from tests.support import SCRIPTED, Ended, Home, finish, until

from .test_elsewhere import TOKEN

pytestmark = pytest.mark.timeout(300)

NOBODY = "http://127.0.0.1:9"
"""Where no server listens."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.scenes(3, nested=False)
    return home


def all_runs(home: Home) -> list[Run]:
    if not (home.data / "data" / "captiv.db").exists():
        return []
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        return store.read(runs.page, None, 10)


def bare(tmp_path: Path) -> dict[str, Any]:
    """Return an environment in which torch cannot be imported."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    return {"PYTHONPATH": str(folder)}


def refused(home: Home, code: int, words: str, *arguments: str, **env: Any) -> None:
    """See that neither the command nor its dry run begins, with the same code and words."""
    ended = home.run("caption", "generate", *arguments, **env)
    dry = home.run("caption", "generate", *arguments, "--dry-run", "--json", **env)

    assert ended.code == code, ended
    assert words in ended.err
    assert dry.code == code, dry
    if dry.out:
        obstacle = dry.lines[0]["obstacle"]
        assert words in f"{obstacle['message']} {obstacle['hint']}"
    assert all_runs(home) == []
    assert home.run("queue", "status").out == "No runs yet.\n"
    assert home.captions() == {}


@pytest.mark.slow
def test_without_torch_nothing_begins(home: Home, tmp_path: Path) -> None:
    refused(home, 4, "torch is not installed here", "--model", "shapes", **bare(tmp_path))


@pytest.mark.slow
def test_a_device_that_is_not_there(home: Home) -> None:
    refused(home, 4, "has no GPU", "--model", "shapes", "--device", "cuda:9")


@contextmanager
def hub(status: int) -> Iterator[str]:
    """Serve a model hub that answers everything so."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached(home: Home) -> None:
    env = {"HF_ENDPOINT": NOBODY, "HF_HUB_OFFLINE": "0"}

    refused(home, 4, "hub cannot be reached", "--model", "blip-base", **env)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "words"), [(401, "Accept its licence"), (404, "hub has no model")]
)
def test_a_hub_that_does_not_give_the_model_out(home: Home, status: int, words: str) -> None:
    with hub(status) as url:
        env = {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0"}
        refused(home, 4, words, "--model", "blip-base", **env)


@pytest.mark.slow
def test_a_model_that_may_not_be_downloaded(home: Home) -> None:
    refused(home, 4, "HF_HUB_OFFLINE", "--model", "blip-base", HF_HUB_OFFLINE="1")


@pytest.mark.slow
def test_a_worker_without_its_token_with_a_wrong_one_or_another_model(home: Home) -> None:
    with started_by_hand(home, TOKEN, "--model", "blip-base") as url:
        asked = ("--worker", url, "--model", "blip-base")
        refused(home, 3, "token is not known", *asked)
        refused(home, 4, "token", *asked, CAPTIV_WORKER_TOKEN="wrong")
        other = ("--worker", url, "--model", "blip-large")
        refused(home, 4, "serves blip (blip-base)", *other, CAPTIV_WORKER_TOKEN=TOKEN)


@pytest.mark.slow
def test_a_worker_that_does_not_answer(home: Home) -> None:
    refused(home, 4, "does not answer", "--worker", NOBODY, "-m", "blip", CAPTIV_WORKER_TOKEN="x")


@pytest.mark.slow
def test_a_chat_server_without_the_model(home: Home) -> None:
    with ChatServer(models=["org/some-vlm", "org/other"]) as server:
        asked = ("--worker", server.url, "--protocol", "openai", "--model", "org/a-third-vlm")
        refused(home, 4, "org/some-vlm", *asked)


@pytest.mark.slow
def test_a_rented_worker_without_key_type_or_credit(home: Home) -> None:
    asked = ("--model", "shapes", "--runpod", "--fallback", "fail")
    refused(home, 3, "no RunPod API key", *asked)
    with running(balance=Decimal(0)) as cloud:
        home.env |= dict(cloud.environment) | {"CAPTIV_RUNPOD_IMAGE": "captiv/worker:test"}
        refused(home, 2, "Did you mean", *asked, "--gpu-type", "A50000")
        refused(home, 3, "no credit", *asked)
        wrong = {"RUNPOD_API_KEY": "rpa_WRONG", "CAPTIV_RUNPOD_API_KEY": "rpa_WRONG"}
        refused(home, 3, "invalid bearer token", *asked, **wrong)
        asked_for = [
            call for call in cloud.history if call.method == "POST" and "/pods" in call.path
        ]

    assert asked_for == []


@pytest.mark.slow
def test_folders_that_cannot_be_written(home: Home) -> None:
    home.scripted()

    with sealed(home.pictures):
        refused(home, 1, "cannot write in", "--model", "shapes")


@pytest.mark.slow
def test_where_nothing_is_to_do_nothing_is_in_the_way(home: Home, tmp_path: Path) -> None:
    for picture in home.pictures.glob("*.png"):
        picture.with_suffix(".txt").write_text("a caption\n")

    ended = home.generate(**bare(tmp_path))
    dry = home.generate("--dry-run", "--json", PYTHONPATH=str(tmp_path / "bare"))

    assert (ended.code, dry.code) == (0, 0), (ended, dry)
    assert "obstacle" not in dry.lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("recursive", [True, False])
def test_a_folder_without_images_ends_with_1(home: Home, recursive: bool) -> None:
    for picture in home.pictures.glob("*.png"):
        picture.unlink()
    asked = ("caption", "generate", "--model", "shapes", *(["-r"] if recursive else []))

    ended, dry = home.run(*asked), home.run(*asked, "--dry-run")

    assert (ended.code, dry.code) == (1, 1), (ended, dry)
    assert "There is no image in" in ended.err
    assert "There is no image in" in dry.err


@pytest.mark.slow
def test_images_none_of_which_can_be_read_end_with_1(home: Home) -> None:
    for picture in home.pictures.glob("*.png"):
        picture.write_bytes(b"no picture")

    assert home.scripted().generate().code == 1


@pytest.mark.slow
def test_a_dry_run_knows_what_was_edited_by_hand(home: Home) -> None:
    home.scripted().generate()
    next(home.pictures.glob("*.txt")).write_text("my own words")

    def counted(*arguments: str) -> tuple[int, int, int]:
        dry = home.generate("--dry-run", "--json", *arguments)
        facts = dry.lines[0]
        return facts["images"], facts["kept"], dry.code

    assert counted("--overwrite") == (2, 1, 0)
    assert counted("--overwrite=all") == (3, 0, 0)
    assert "kept: 1" in home.generate("--dry-run", "--overwrite").out


def states(home: Home) -> list[tuple[int, str]]:
    found = json.loads(home.run("queue", "status", "--json").out)
    return [(run["run"], run["state"]) for run in found]


@pytest.mark.slow
def test_a_run_of_which_nothing_was_done_is_named_by_nobody(home: Home) -> None:
    failed = home.scripted(fail_load="no such weights").generate()
    after = states(home)
    other = home.scripted().generate("--prefix", "x ")

    assert failed.code == 4, failed
    assert "no such weights" in failed.err
    assert after == [(1, "unfinished")]
    assert other.code == 0, other
    assert "unfinished" not in other.err
    assert states(home) == [(2, "finished"), (1, "cancelled")]


@pytest.mark.slow
def test_a_run_of_which_something_was_done_is_named(home: Home) -> None:
    bad = home.pictures / "bad.png"
    bad.write_bytes(b"no picture")
    hold = home.held()
    process = home.scripted(hold=str(hold), hold_after=1).start_generate("--batch-size", "1")
    until(lambda: bool(home.captions()))
    process.kill()
    finish(process)
    hold.unlink()

    other = home.scripted().generate("--prefix", "x ", "--overwrite")

    assert other.code == 1, other
    assert "Run 1 (" in other.err
    assert "is unfinished" in other.err


@pytest.mark.slow
def test_the_same_command_goes_on_with_the_run_that_could_not_load(home: Home) -> None:
    home.scripted(fail_load="no such weights").generate()

    again = home.scripted().generate()

    assert again.code == 0, again
    assert states(home) == [(1, "finished")]


@pytest.mark.slow
def test_a_run_is_active_only_while_a_process_works_on_it(home: Home) -> None:
    hold = home.held()
    process = home.scripted(hold=str(hold)).start_generate("--batch-size", "1")
    until(lambda: bool(home.workers()))
    at_work = states(home), home.run("queue", "status", "1").out
    process.kill()
    finish(process)
    killed = states(home), home.run("queue", "status", "1").out, home.run("queue", "list").out

    assert at_work[0] == [(1, "active")]
    assert "Run 1: active" in at_work[1]
    assert killed[0] == [(1, "unfinished")]
    assert "Run 1: unfinished" in killed[1]
    assert killed[2].startswith("1\tunfinished")


@pytest.mark.slow
def test_a_signal_while_it_is_looked_whether_a_run_can_begin(home: Home) -> None:
    asked = ("caption", "generate", "--worker", NOBODY, "--model", "blip")
    process = home.start(*asked, CAPTIV_WORKER_TOKEN="x")
    until(lambda: (home.data / "data" / "captiv.db").exists(), "the job table")
    process.send_signal(signal.SIGTERM)

    ended = finish(process)

    assert ended.code == 130, ended
    assert "does not answer" not in ended.err
    assert all_runs(home) == []


def in_the_cloud(home: Home, *arguments: str) -> Ended:
    return home.generate("--runpod", *arguments, timeout=280)


@pytest.mark.slow
def test_a_pod_that_was_not_seen_to_end_is_5_for_the_run_and_for_who_looks_after_it(
    home: Home,
) -> None:
    scripted = ("--engine", SCRIPTED, "--engine-options", "{}")
    with running(worker_args=scripted) as cloud:
        home.env |= dict(cloud.environment) | {"CAPTIV_RUNPOD_IMAGE": "captiv/worker:test"}
        cloud.mischief.arm("terminate_fails", times=None)
        holder = home.start_generate("--runpod")
        until(lambda: bool(all_runs(home)), "a run")
        watcher = home.start("queue", "watch")
        ended = finish(holder, timeout=280)
        watched = finish(watcher)
        (pod,) = cloud.pods_alive()
        by_hand = home.run("runpod", "terminate", pod, "--yes")
        swept = home.run("runpod", "sweep")
        cloud.mischief.disarm()
        gone = home.run("runpod", "terminate", pod, "--yes")

    assert len(home.captions()) == 3
    for command in (ended, by_hand, swept):
        assert command.code == 5, command
        assert "may still bill" in command.err + command.out
        assert f"captiv runpod terminate {pod}" in command.err + command.out
    assert watched.code == 5, watched
    assert "console" in ended.err
    assert gone.code == 0, gone
