"""One command at work beside others: the lease, signals, and what is said at the end."""

import json
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.spec import Captioning, RunSpec, Selection
from captiv.errors import NoBalance, NoWorker, StoreFull
from captiv.rental.unended import Unended
from captiv.request.options import Options
from captiv.request.run import request
from captiv.service import Outcome, Service
from captiv.settings import Paths, read
from captiv.store import Store, runs
from tests.support import Home, finish, until

SPEC = RunSpec(
    selection=Selection(roots=("/x",)), captioning=Captioning(model="m", variant="v", source="s")
)
RUN = Run(RunId(1), RunState.ACTIVE, SPEC, "f", True, 0, None, Counts(done=3))


def outcome(
    *,
    interrupted: bool = False,
    error: Exception | None = None,
    scanned: bool = True,
    unended: bool = False,
    **counts: int,
) -> int:
    run = replace(RUN, scanned=scanned, counts=Counts(**counts))
    left = (Unended("runpod", "abc", "RunPod"),) if unended else ()
    return Outcome(run, interrupted, error, unended=left).exit_code  # type: ignore[arg-type]


def test_the_exit_code_is_0_only_when_every_image_has_its_caption() -> None:
    assert outcome(done=3) == 0
    assert outcome(done=3, kept=1, skipped=2) == 0
    assert outcome(skipped=3) == 0
    assert outcome() == 1, "there was none to read"
    for missing in ("pending", "running", "captioned", "failed", "cancelled"):
        more: dict[str, Any] = {missing: 1}
        assert outcome(done=3, **more) == 1
    assert outcome(done=3, scanned=False) == 1


def test_a_limit_that_is_reached_is_0_whatever_failed_on_the_way() -> None:
    limited = SPEC.model_copy(update={"selection": Selection(roots=("/x",), limit=3)})

    def code(*, as_it_is: bool = False, **counts: int) -> int:
        run = replace(RUN, spec=limited, counts=Counts(**counts))
        return Outcome(run, as_it_is=as_it_is).exit_code

    assert code(done=3, failed=2) == 0
    assert code(done=4, kept=1, failed=2) == 0
    assert code(done=2) == 0, "there are fewer images"
    assert code(done=2, failed=1) == 1
    assert code(done=3, kept=1, failed=1) == 1
    assert code(done=2, failed=1, pending=1) == 1
    assert code(done=3, failed=2, as_it_is=True) == 1, "a retry asks for those that failed"


def test_an_interruption_is_130_unless_all_was_done() -> None:
    assert outcome(interrupted=True, done=3) == 0
    assert outcome(interrupted=True, done=3, failed=1) == 1
    assert outcome(interrupted=True, done=3, pending=1) == 130
    assert outcome(interrupted=True, done=3, scanned=False) == 130
    assert outcome(interrupted=True, pending=1, error=NoWorker("x")) == 130


def test_what_ended_the_work_has_its_own_code() -> None:
    assert outcome(pending=1, error=NoWorker("x")) == 4
    assert outcome(running=1, error=StoreFull("x")) == 3


def test_a_pod_that_was_not_seen_to_end_goes_before_what_became_of_the_images() -> None:
    assert outcome(done=3, unended=True) == 5
    assert outcome(done=3, failed=1, unended=True) == 5
    assert outcome(pending=1, error=NoWorker("x"), unended=True) == 5
    assert outcome(interrupted=True, pending=1, unended=True) == 5
    assert outcome(pending=1, error=StoreFull("x"), unended=True) == 3
    assert outcome(pending=1, error=NoBalance("x")) == 3


def sessions(home: Home) -> int:
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        return store.read(
            lambda conn: int(conn.execute("SELECT max(id) FROM sessions").fetchone()[0])
        )


def open_runs(home: Home) -> list[Run]:
    database = home.data / "data" / "captiv.db"
    if not database.exists():
        return []
    with Store.open(database, read_only=True) as store:
        return store.read(runs.active)


def has_failed(home: Home, images: int) -> bool:
    return sum(run.counts.failed for run in open_runs(home)) == images


@pytest.mark.slow
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
    before = {"bad.png"} if ended["not_tried"] else set()
    assert failed | before == {"bad.png", "twin.png", "twin.bmp"}
    assert not failed & before
    assert (ended["captioned"], ended["failed"], ended["pending"]) == (12, 3, 0)
    assert all(o["caption"].startswith("picture ") for o in told if o["status"] == "captioned")


@pytest.mark.slow
def test_a_follower_that_takes_over_tells_of_each_image_once(home: Home) -> None:
    held = home.folder / "held"
    held.touch()
    home.scripted(hold=str(held), hold_after=3).scenes(20)
    holder = home.start_generate("--batch-size", "4", "--json")
    until(lambda: len(home.worker_keys()) >= 3)
    follower = home.start_generate("--batch-size", "4", "--json")
    until(lambda: sessions(home) == 2, "the follower is there")

    holder.kill()
    finish(holder)
    held.unlink()
    ended = finish(follower)

    assert ended.code == 0, ended
    told = [o["path"] for o in ended.lines if "path" in o]
    assert len(told) == len(set(told)) == ended.lines[-1]["captioned"]
    assert len(home.captions()) == 20


@pytest.mark.slow
def test_a_run_that_another_process_cancels_ends_and_says_so(home: Home) -> None:
    begun, hold = home.folder / "begun", home.folder / "hold"
    hold.touch()
    home.scripted(touch=str(begun), hold=str(hold)).scenes(150)
    process = home.start_generate("--batch-size", "2")
    until(begun.exists, "the worker has some of them")

    cancelled = home.run("queue", "cancel", "--yes")
    hold.unlink()
    ended = finish(process)

    assert cancelled.code == 0, cancelled
    assert ended.code == 1, ended
    assert "cancelled" in ended.err
    assert len(home.captions()) < 100, "what was claimed is captioned, and no more"


@pytest.mark.slow
def test_a_resumed_run_counts_what_had_failed_before_and_tells_it_not_as_new(home: Home) -> None:
    home.scripted(batch_s=0.2).scenes(12)
    (home.pictures / "aaa.png").write_bytes(b"")
    process = home.start_generate("--batch-size", "2")
    until(lambda: len(home.worker_keys()) >= 6)
    process.kill()
    finish(process)

    again = home.generate(CAPTIV_ENGINE_OPTIONS="{}")

    assert again.code == 1, again
    assert "1 failed" in again.err
    assert "1 image was not tried again: it failed before and nothing changed" in again.err
    assert "aaa.png" not in again.err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_model_loads_ends_at_once(home: Home, number: int) -> None:
    home.scripted(load_s=1000).scenes(3)
    process = home.start_generate("--json")
    until(lambda: bool(home.workers()))

    process.send_signal(number)
    ended = finish(process)

    assert ended.code == 130, ended
    resume = ended.lines[-1]["resume"]
    assert resume.startswith("captiv caption generate --model shapes")
    assert f"To resume: {resume}" in ended.err
    until(lambda: not home.workers(), "the worker ended")


@pytest.mark.slow
def test_unfinished_runs_over_the_same_folder_are_named_on_one_line(home: Home) -> None:
    home.scripted(fail_load="no such weights").scenes(2)
    (home.pictures / "bad.png").write_bytes(b"no picture")
    home.scripted(hold=str(home.held()))
    for failed, prefix in enumerate(("a", "b"), start=1):
        process = home.start_generate("--prefix", prefix)
        until(partial(has_failed, home, failed))
        process.kill()
        finish(process)

    ended = home.scripted(fail_load="no such weights").generate("--prefix", "c")

    named = [line for line in ended.err.splitlines() if "are unfinished" in line]
    assert len(named) == 1, ended
    assert "Runs 1 (2 open), 2 (2 open) over the same folder" in named[0]


@pytest.mark.slow
@pytest.mark.allow_blocking  # the lease, once: one call on a local file
def test_a_service_that_others_run_leaves_signals_alone_and_ends_when_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = home.folder / "held"
    held.touch()
    home.scripted(hold=str(held), hold_after=1).scenes(40)
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    paths = Paths.find(None)
    spec, _ = request(
        Options(paths=(home.pictures,), recursive=True, model="shapes"), read(paths).settings
    )
    before = signal.getsignal(signal.SIGTERM)

    async def interrupted() -> Outcome:
        service = Service(paths, read(paths).settings, signals=False)
        outcomes: list[Outcome] = []
        async with anyio.create_task_group() as tg:

            async def work() -> None:
                outcomes.append(await service.caption(spec))

            tg.start_soon(work)
            await anyio.to_thread.run_sync(until, lambda: bool(home.captions()))
            assert signal.getsignal(signal.SIGTERM) is before
            service.interrupt()
            held.unlink()
        return outcomes[0]

    outcome = anyio.run(interrupted)

    counts = outcome.run.counts
    assert outcome.exit_code == 130
    assert 0 < counts.done == len(home.captions()) < 40
    assert counts.pending == 40 - counts.done


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_interrupted_scan_goes_on_and_skips_nothing(home: Home) -> None:
    held = home.folder / "held"
    held.touch()
    home.scripted(hold=str(held), hold_after=1).scenes(30)
    process = home.start_generate("--batch-size", "2", "--limit", "20")
    until(lambda: bool(home.worker_keys()))
    process.send_signal(signal.SIGTERM)
    held.unlink()
    stopped = finish(process)

    again = home.generate("--limit", "20", CAPTIV_ENGINE_OPTIONS="{}")

    assert stopped.code == 130, stopped
    assert again.code == 0, again
    assert len(home.captions()) == 20
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        (run,) = store.read(runs.page, None, 5)
        assert store.read(runs.check_counts) == []
    assert (run.state, run.counts.done) == (RunState.FINISHED, 20)


@pytest.mark.slow
def test_a_dry_run_counts_what_the_run_would_do(home: Home) -> None:
    home.scripted().scenes(4, nested=False)
    picture = next(home.pictures.glob("*.png"))
    (home.pictures / "a.png").write_bytes(picture.read_bytes())
    (home.pictures / "a.bmp").write_bytes(picture.read_bytes())
    picture.with_suffix(".txt").write_text("there")

    facts = json.loads(home.generate("--dry-run", "--json").out)
    said = home.generate("--dry-run").out
    ended = home.generate("--json")

    assert "skipped: 1\n" in said
    assert "kept" not in said, "nothing is"
    assert (facts["images"], facts["skipped"], len(facts["problems"])) == (3, 1, 2)
    last = ended.lines[-1]
    assert (last["captioned"], last["skipped"], last["failed"]) == (3, 1, 2)


@pytest.mark.slow
def test_what_lies_beyond_a_limit_is_neither_counted_nor_in_the_exit_code(home: Home) -> None:
    home.scripted().scenes(3, nested=False)
    for name in ("y", "z"):
        (home.pictures / f"{name}.png").write_bytes(b"")
    assert home.generate("--limit", "2").code == 0
    assert home.generate().code == 1, "two images are broken"
    for sidecar in home.pictures.glob("*.txt"):
        sidecar.unlink()

    facts = home.generate("--limit", "2", "--dry-run", "--json")
    ended = home.generate("--limit", "2", "--json")
    fewer = home.generate("--limit", "3", "--json")

    assert (facts.code, ended.code) == (0, 0), (facts, ended)
    assert json.loads(facts.out)["not_tried"] == 0
    last = ended.lines[-1]
    assert (last["captioned"], last["failed"], last["not_tried"]) == (2, 0, 0)
    assert fewer.code == 1, "there is one image for three captions, and two that failed before"
    assert (fewer.lines[-1]["captioned"], fewer.lines[-1]["not_tried"]) == (1, 2)


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
