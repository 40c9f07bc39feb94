"""One command at work beside others: the lease, signals, and what is said at the end."""

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.spec import Captioning, RunSpec, Selection
from captiv.errors import NoWorker, StoreFull
from captiv.service import Outcome
from captiv.store import Store, runs
from tests.support import Home, finish, until

SPEC = RunSpec(
    selection=Selection(roots=("/x",)), captioning=Captioning(model="m", variant="v", source="s")
)
RUN = Run(RunId(1), RunState.ACTIVE, SPEC, "f", 0, True, 0, None, Counts(done=3))


def outcome(
    *,
    interrupted: bool = False,
    error: Exception | None = None,
    scanned: bool = True,
    **counts: int,
) -> int:
    run = replace(RUN, scanned=scanned, counts=Counts(**counts))
    return Outcome(run, interrupted, error).exit_code  # type: ignore[arg-type]


def test_the_exit_code_is_0_only_when_every_image_has_its_caption() -> None:
    assert outcome(done=3) == 0
    assert outcome(done=3, kept=1, skipped=2) == 0
    assert outcome() == 0
    for missing in ("pending", "running", "captioned", "failed", "cancelled"):
        more: dict[str, Any] = {missing: 1}
        assert outcome(done=3, **more) == 1
    assert outcome(done=3, scanned=False) == 1


def test_an_interruption_is_130_unless_all_was_done() -> None:
    assert outcome(interrupted=True, done=3) == 0
    assert outcome(interrupted=True, done=3, failed=1) == 1
    assert outcome(interrupted=True, done=3, pending=1) == 130
    assert outcome(interrupted=True, done=3, scanned=False) == 130
    assert outcome(interrupted=True, pending=1, error=NoWorker("x")) == 130


def test_what_ended_the_work_has_its_own_code() -> None:
    assert outcome(pending=1, error=NoWorker("x")) == 4
    assert outcome(running=1, error=StoreFull("x")) == 3


def sessions(home: Home) -> int:
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        return store.read(
            lambda conn: int(conn.execute("SELECT max(id) FROM sessions").fetchone()[0])
        )


def test_a_follower_tells_of_every_image_and_ends_with_the_truth(home: Home) -> None:
    held = home.folder / "held"
    held.touch()
    home.scripted(batch_s=0.3, hold=str(held)).scenes(12)
    (home.pictures / "bad.png").write_bytes(b"")
    for extension in ("png", "bmp"):
        (home.pictures / f"twin.{extension}").write_bytes(b"")
    holder = home.start_generate("--batch-size", "4", "--json")
    until(lambda: bool(home.workers()))
    follower = home.start_generate("--batch-size", "4", "--json")
    until(lambda: sessions(home) == 2, "the follower is there")
    held.unlink()

    first, second = finish(holder), finish(follower)

    assert (first.code, second.code) == (1, 1), (first, second)
    told = [o for o in second.lines if "path" in o]
    ended = second.lines[-1]
    assert len({o["path"] for o in told}) == len(told)
    assert sum(o["status"] == "captioned" for o in told) == 12
    failed = {Path(o["path"]).name for o in told if o["status"] == "failed"}
    assert failed == {"bad.png", "twin.png", "twin.bmp"}
    assert (ended["captioned"], ended["failed"], ended["pending"]) == (12, 3, 0)
    assert all(o["caption"].startswith("picture ") for o in told if o["status"] == "captioned")


def test_a_follower_that_takes_over_tells_of_each_image_once(home: Home) -> None:
    home.scripted(batch_s=0.2).scenes(20)
    holder = home.start_generate("--batch-size", "4", "--json")
    until(lambda: bool(home.worker_keys()))
    follower = home.start_generate("--batch-size", "4", "--json")
    until(lambda: len(home.worker_keys()) >= 12)

    holder.kill()
    finish(holder)
    ended = finish(follower)

    assert ended.code == 0, ended
    told = [o["path"] for o in ended.lines if "path" in o]
    assert len(told) == len(set(told)) == ended.lines[-1]["captioned"]
    assert len(home.captions()) == 20


def test_a_run_that_another_process_cancels_ends_and_says_so(home: Home) -> None:
    home.scripted(batch_s=0.3).scenes(40)
    process = home.start_generate("--batch-size", "2")
    until(lambda: bool(home.worker_keys()))

    cancelled = home.run("queue", "cancel", "--yes")
    ended = finish(process)

    assert cancelled.code == 0, cancelled
    assert ended.code == 1, ended
    assert "cancelled" in ended.err
    assert len(home.captions()) < 20


def test_a_resumed_run_names_what_had_failed_before(home: Home) -> None:
    home.scripted(batch_s=0.2).scenes(12)
    (home.pictures / "aaa.png").write_bytes(b"")
    process = home.start_generate("--batch-size", "2")
    until(lambda: len(home.worker_keys()) >= 6)
    process.kill()
    finish(process)

    again = home.generate(CAPTIV_ENGINE_OPTIONS="{}")

    assert again.code == 1, again
    assert f"{home.pictures / 'aaa.png'}: " in again.err


def test_a_signal_while_the_model_loads_ends_at_once(home: Home) -> None:
    home.scripted(load_s=60).scenes(3)
    process = home.start_generate()
    until(lambda: bool(home.workers()))

    process.send_signal(signal.SIGINT)
    ended = finish(process, timeout=15)

    assert ended.code == 130, ended
    assert "To go on: " in ended.err
    until(lambda: not home.workers(), "the worker ended")


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
def test_a_hangup_that_captiv_was_told_to_ignore_ends_nothing(home: Home) -> None:
    home.scripted(batch_s=0.2).scenes(12)
    ignoring = home.env | {"PYTHONUNBUFFERED": "1"}
    home.env = ignoring
    command = ["nohup", *home.command("caption", "generate", "-m", "shapes", "-r")]
    command += ["--batch-size", "4", str(home.pictures)]
    import subprocess

    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=home.env,
        cwd=home.pictures,
        start_new_session=True,
    )
    until(lambda: bool(home.worker_keys()))

    process.send_signal(signal.SIGHUP)
    ended = finish(process)

    assert ended.code == 0, ended
    assert len(home.captions()) == 12


def test_an_interrupted_scan_goes_on_and_skips_nothing(home: Home) -> None:
    home.scripted(batch_s=0.3).scenes(30)
    process = home.start_generate("--batch-size", "2", "--limit", "20")
    until(lambda: bool(home.worker_keys()))
    process.send_signal(signal.SIGTERM)
    stopped = finish(process)

    again = home.generate("--limit", "20", CAPTIV_ENGINE_OPTIONS="{}")

    assert stopped.code == 130, stopped
    assert again.code == 0, again
    assert len(home.captions()) == 20
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        (run,) = store.read(runs.page, None, 5)
        assert store.read(runs.check_counts) == []
    assert (run.state, run.counts.done) == (RunState.FINISHED, 20)


def test_a_dry_run_counts_what_the_run_would_do(home: Home) -> None:
    home.scripted().scenes(4, nested=False)
    picture = next(home.pictures.glob("*.png"))
    (home.pictures / "a.png").write_bytes(picture.read_bytes())
    (home.pictures / "a.bmp").write_bytes(picture.read_bytes())
    picture.with_suffix(".txt").write_text("there")

    facts = json.loads(home.generate("--dry-run", "--json").out)
    ended = home.generate("--json")

    assert (facts["images"], facts["skipped"], len(facts["problems"])) == (3, 1, 2)
    last = ended.lines[-1]
    assert (last["captioned"], last["skipped"], last["failed"]) == (3, 1, 2)


@pytest.mark.parametrize(
    "arguments",
    [("--min-new-tokens", "30"), ("--prefix", "caf\udce9 "), ("--suffix", "\udcff")],
    ids=["tokens", "prefix", "suffix"],
)
def test_a_request_that_cannot_be_is_refused_before_anything_is_done(
    home: Home, arguments: tuple[str, str]
) -> None:
    home.scripted().scenes(1)

    ended = home.generate(*arguments)

    assert ended.code == 2, ended
    assert arguments[0] in ended.err
    assert not (home.data / "data" / "captiv.db").exists()
