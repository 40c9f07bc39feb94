"""Several workers on one queue: real processes, each with a token and a speed of its own."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serving import started_by_hand
from tests.support import Home, alive, finish, kill, told, until

pytestmark = pytest.mark.timeout(300)

IMAGES = 80


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.scenes(IMAGES, nested=False)
    return home


@contextmanager
def worker(home: Home, token: str, model: str = "shapes", **script: object) -> Iterator[str]:
    """Start a worker by hand, with two images a batch; yield its address."""
    arguments = ("--max-batch", "2", "--model", model)
    with started_by_hand(home, token, *arguments, script=script) as url:
        yield url


def host(url: str) -> str:
    return urlsplit(url).netloc


@pytest.mark.slow
def test_a_slow_worker_does_less_and_one_that_hangs_keeps_its_own_alone(home: Home) -> None:
    begun, gate, hold = (home.folder / name for name in ("begun", "gate", "hold"))
    gate.touch()
    hold.touch()
    with ExitStack() as stack:
        fast = stack.enter_context(worker(home, "one", hold=str(gate)))
        slow = stack.enter_context(worker(home, "two", hold=str(gate), batch_s=0.4))
        hung = stack.enter_context(worker(home, "three", hold=str(hold), touch=str(begun)))
        urls = [fast, slow, hung]
        tokens = zip(map(host, urls), ("one", "two", "three"), strict=True)
        process = home.start_generate(
            "--json",
            *(word for url in urls for word in ("--worker", url)),
            CAPTIV_WORKER_TOKENS=",".join(f"{name}={token}" for name, token in tokens),
        )
        until(begun.exists)
        gate.unlink()
        until(lambda: len(home.captions()) >= IMAGES - 20)
        assert process.poll() is None, "what the hanging worker has is still to do"
        hold.unlink()
        ended = finish(process)

    assert ended.code == 0, ended
    assert len(home.captions()) == IMAGES
    counts = ended.lines[-1]["workers"]
    assert sum(counts.values()) == IMAGES, "each image once"
    assert 0 < counts[host(slow)] < counts[host(fast)]
    assert 0 < counts[host(hung)] <= 20


@pytest.mark.slow
def test_a_worker_here_that_is_killed_costs_no_image(home: Home) -> None:
    hold = home.held()
    home.scripted(hold=str(hold))
    process = home.start_generate("--device", "cpu,cpu,cpu", "--batch-size", "2")
    log = home.data / "log" / "worker.log"
    until(lambda: log.exists() and log.read_text().count("INFO ready engine=") == 3)

    victim = home.workers()[1]
    kill([victim])
    until(lambda: not alive(victim))
    hold.unlink()
    ended = finish(process)

    assert ended.code == 0, ended
    assert len(home.captions()) == IMAGES
    assert f"{IMAGES} captioned" in ended.err
    assert "By worker: cpu 1 " in ended.err


@pytest.mark.slow
def test_a_worker_that_refuses_its_token_ends_alone_and_is_named(home: Home) -> None:
    hold = home.held()
    with worker(home, "right", hold=str(hold)) as good, worker(home, "other") as bad:
        process = home.start_generate(
            "--worker", good, "--worker", bad, CAPTIV_WORKER_TOKEN="right"
        )
        told(process, f"{host(bad)}: ")
        hold.unlink()
        ended = finish(process)

    assert ended.code == 0, ended
    assert len(home.captions()) == IMAGES


@pytest.mark.slow
def test_a_worker_elsewhere_and_this_machine_share_a_run(home: Home) -> None:
    hold = home.held()
    home.scripted(hold=str(hold))
    with worker(home, "right", hold=str(hold)) as url:
        process = home.start_generate(
            "--json", "--local", "--worker", url, "--batch-size", "2", CAPTIV_WORKER_TOKEN="right"
        )
        log = home.data / "log" / "worker.log"
        until(lambda: log.exists() and "INFO ready engine=" in log.read_text())
        hold.unlink()
        ended = finish(process)

    assert ended.code == 0, ended
    end = ended.lines[-1]
    assert set(end["workers"]) == {host(url).partition(":")[0], "this machine"}
    assert sum(end["workers"].values()) == end["captioned"] == IMAGES
    assert end["worker"] == f"{url}, this machine"


@pytest.mark.slow
def test_workers_that_serve_different_models_are_no_answer_to_which(home: Home) -> None:
    asked = ("caption", "generate", "--dry-run", "--json")
    with worker(home, "one") as one, worker(home, "two", model="blip-base") as two:
        differ = home.run(*asked, "--worker", one, "--worker", two)
        silent = home.run(*asked, "--worker", "http://127.0.0.1:9", "--worker", two)
        named = home.run(*asked, "--worker", one, "--worker", two, "--model", "shapes")

    assert differ.code == 2, differ
    assert f"shapes ({one}) and blip-base ({two})" in differ.err
    assert silent.lines[0]["variant"] == "blip-base"
    assert named.lines[0]["model"] == "shapes"


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two models on one core take minutes")
def test_two_real_models_caption_one_folder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    truth = home.scenes(12, nested=False)

    ended = home.generate("--device", "cpu,cpu", "--batch-size", "1", "--json")

    assert ended.code == 0, ended
    assert home.captions() == {str(home.sidecar(picture)): text for picture, text in truth.items()}
    assert set(ended.lines[-1]["workers"]) == {"cpu 1", "cpu 2"}
