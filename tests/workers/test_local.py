import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from PIL import Image

from captiv import errors
from captiv.core.phase import Phase
from captiv.core.retry import Death
from captiv.wire import CaptionRequest
from captiv.workers import Ended, LocalWorker, WorkerClient
from captiv.workers.local import LocalSettings
from tests.support import DEADLINE_S, alive, until
from tests.workers.endless import endless

Local = Callable[..., LocalWorker]

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def quiet(_phase: Phase | None) -> None: ...


def pid_of(worker: LocalWorker) -> int:
    process = worker._process
    assert process is not None
    return process.pid


async def gone(pid: int) -> None:
    with anyio.fail_after(DEADLINE_S):
        while await anyio.to_thread.run_sync(alive, pid):
            await anyio.sleep(0.01)


async def death(worker: LocalWorker) -> Ended:
    with anyio.fail_after(DEADLINE_S):
        while (ended := await worker.ended()) is None:
            await anyio.sleep(0.01)
    return ended


def cyan(path: Path) -> bytes:
    Image.new("RGB", (32, 32), (0, 255, 255)).save(path, "PNG")
    return path.read_bytes()


@ON_LINUX
async def test_it_serves_on_loopback_with_a_token_that_nobody_else_sees(local: Local) -> None:
    worker = local()
    try:
        address = await worker.start(quiet)
        process = Path(f"/proc/{pid_of(worker)}")
        seen = await anyio.to_thread.run_sync(
            lambda: (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        )
        client = WorkerClient(address.url, address.token)
        stranger = WorkerClient(address.url, "guess")
        with anyio.fail_after(DEADLINE_S):
            while (await client.health()).status != "ready":
                await anyio.sleep(0.01)
        models = await client.models()
        with pytest.raises(errors.WorkerRefused):
            await stranger.models()
        await client.aclose()
        await stranger.aclose()
    finally:
        await worker.stop()

    assert address.url.startswith("http://127.0.0.1:")
    assert address.token.encode() not in seen
    assert models.loaded == "shapes"


@ON_LINUX
async def test_stopping_ends_the_child_and_may_be_repeated(local: Local) -> None:
    worker = local()
    await worker.start(quiet)
    pid = pid_of(worker)

    await worker.stop()
    await worker.stop()

    assert not alive(pid)
    assert await worker.ended() is None


@ON_LINUX
async def test_starting_again_ends_the_one_before(local: Local) -> None:
    worker = local()
    first = await worker.start(quiet)
    pid = pid_of(worker)
    try:
        second = await worker.start(quiet)
        assert not alive(pid)
        assert second.token != first.token
    finally:
        await worker.stop()


@ON_LINUX
async def test_a_start_that_is_cancelled_leaves_no_child_after_stop(local: Local) -> None:
    worker = local()
    with anyio.move_on_after(0.1):
        await worker.start(quiet)
    pid = None if worker._process is None else pid_of(worker)

    await worker.stop()

    if pid is not None:
        await gone(pid)


async def test_the_kernels_kill_is_told_from_a_crash(local: Local) -> None:
    worker = local()
    try:
        await worker.start(quiet)
        assert await worker.ended() is None
        os.kill(pid_of(worker), signal.SIGKILL)
        killed = await death(worker)
        await worker.start(quiet)
        os.kill(pid_of(worker), signal.SIGSEGV)
        crashed = await death(worker)
    finally:
        await worker.stop()

    assert (killed.death, killed.reason, killed.suspects) == (
        Death.KILLED,
        "signal 9",
        frozenset(),
    )
    assert (crashed.death, crashed.reason) == (Death.CRASHED, "signal 11")


async def test_a_death_in_a_batch_names_its_images(local: Local, tmp_path: Path) -> None:
    worker = local(exit_on=["cyan"])
    try:
        address = await worker.start(quiet)
        client = WorkerClient(address.url, address.token)
        with anyio.fail_after(DEADLINE_S):
            while (await client.health()).status != "ready":
                await anyio.sleep(0.01)
        image = await anyio.to_thread.run_sync(cyan, tmp_path / "killer.png")
        with pytest.raises(errors.WorkerUnreachable):
            await client.caption(image, "image/png", CaptionRequest(), "the-key", wait_s=60)
        ended = await death(worker)
        await client.aclose()
    finally:
        await worker.stop()

    assert ended.suspects == {"the-key"}
    assert (ended.death, ended.reason) == (Death.CRASHED, "exit code 139")


async def test_a_child_that_hangs_is_ended(local: Local) -> None:
    worker = local()
    try:
        await worker.start(quiet)
        pid = pid_of(worker)
        os.kill(pid, signal.SIGSTOP)
        assert await worker.ended() is None
        with anyio.fail_after(DEADLINE_S):
            lost = await worker.lost()
    finally:
        await worker.stop()

    assert lost is not None
    assert (lost.death, lost.reason) == (Death.KILLED, "it hung")
    assert not alive(pid)


async def test_a_child_that_does_not_start_is_no_worker_and_its_log_says_why(
    local: Local, tmp_path: Path
) -> None:
    worker = local(engine="no.such.module:Engine", device="abacus")

    with pytest.raises(errors.NoWorker) as caught:
        await worker.start(quiet)

    log = tmp_path / "log" / "worker.log"
    assert str(log) in (caught.value.hint or "")
    assert await anyio.Path(log).read_text()


@ON_LINUX
@pytest.mark.allow_blocking
def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    import subprocess

    script = tmp_path / "starter.py"
    script.write_text(
        "import anyio, sys, pathlib\n"
        "from captiv.workers import LocalWorker\n"
        "from captiv.workers.local import LocalSettings\n"
        "async def main():\n"
        "    s = LocalSettings('shapes', 'shapes', 'builtin:shapes',\n"
        "        engine='captiv.testing.engine:ScriptedEngine', engine_options='{}')\n"
        "    here = pathlib.Path(sys.argv[1])\n"
        "    w = LocalWorker(s, folder=here, log=here / 'worker.log')\n"
        "    await w.start(lambda phase: None)\n"
        "    print(w._process.pid, flush=True)\n"
        "    await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())

    starter.kill()
    starter.wait(DEADLINE_S)
    starter.stdout.close()

    until(lambda: not alive(pid), "the worker ended")


@pytest.mark.slow
@ON_LINUX
async def test_a_child_that_nothing_ends_is_waited_for_so_long_and_named(
    local: Local, tmp_path: Path
) -> None:
    worker = local()
    await worker.start(quiet)
    await anyio.Path(tmp_path / "worker-batch.json").write_text('["a"]')
    async with endless(worker) as pid:
        with anyio.fail_after(DEADLINE_S):
            ended = await worker.lost()
            with pytest.raises(errors.NoWorker, match=f"process {pid}.* not even when it is"):
                await worker.start(quiet)
            await worker.stop()  # it was given up

    assert ended is not None
    assert (ended.death, ended.suspects) == (Death.KILLED, frozenset("a"))


async def test_the_batch_file_may_be_damaged(local: Local, tmp_path: Path) -> None:
    worker, file = local(), anyio.Path(tmp_path / "worker-batch.json")
    for content in ("", "{", "[1"):
        await file.write_text(content)
        assert await worker._batch_keys() == frozenset()
    await file.write_text(json.dumps(["a"]))
    assert await worker._batch_keys() == {"a"}


async def test_each_of_several_workers_has_a_batch_file_of_its_own(tmp_path: Path) -> None:
    settings = LocalSettings("shapes", "shapes", "builtin:shapes", device="cpu", shares=2)
    first, second = (
        LocalWorker(settings, folder=tmp_path, log=tmp_path / "log", number=number)
        for number in (1, 2)
    )
    await anyio.Path(second._batch_file).write_text('["a"]')

    assert await first._batch_keys() == frozenset()
    assert await second._batch_keys() == {"a"}
    command = list(second._command())
    assert command[command.index("--shares") + 1] == "2"


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
async def test_a_cancellation_waits_until_the_batch_file_is_read_and_closed(
    local: Local, tmp_path: Path
) -> None:
    worker, found = local(), list[frozenset[str]]()
    os.mkfifo(tmp_path / "worker-batch.json")

    async def look() -> None:
        found.append(await worker._batch_keys())

    async with anyio.create_task_group() as tg:
        tg.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        tg.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.Path(tmp_path / "worker-batch.json").write_text('["a"]')

    assert found == [{"a"}]
