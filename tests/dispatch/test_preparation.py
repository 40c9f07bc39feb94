import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from PIL import Image

from captiv.catalog import ImagePolicy
from captiv.core.jobs import Job, JobId, RunId
from captiv.dispatch.preparation import Preparation, leftover
from captiv.errors import ImageUnreadable
from captiv.images.prepare import Prepared, prepare
from tests.support import until

POLICY = ImagePolicy(32)

CHILD = """
import sys, pathlib, anyio
from captiv.catalog import ImagePolicy
from captiv.core.jobs import Job
from captiv.dispatch.preparation import Preparation

async def main():
    folder = pathlib.Path(sys.argv[1])
    async with Preparation(folder / "preparing", threads=2) as preparation:
        async def again():
            while True:
                await preparation.prepare(job(7, "large.png"), ImagePolicy(32))
        await preparation.prepare(job(5, "small.png"), ImagePolicy(32))
        print("began", flush=True)
        await again()

def job(number, name):
    return Job(number, 1, str(pathlib.Path(sys.argv[1]) / name), "x.txt", 1, 0, 0, False)

anyio.run(main)
"""


def job(number: int, path: Path | str) -> Job:
    return Job(JobId(number), RunId(1), str(path), "x.txt", 1, 0, 0, suspect=False)


@pytest.mark.slow
@pytest.mark.allow_blocking
def test_a_kill_leaves_behind_what_was_in_preparation_and_nothing_else(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "small.png")
    Image.effect_noise((1500, 1500), 50).convert("RGB").save(tmp_path / "large.png")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "began\n"
    trace = tmp_path / "preparing"

    def stopped_in_the_middle() -> bool:
        child.send_signal(signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)  # it stops when the last of its threads has stopped
        if leftover(trace) == {7}:
            return True
        child.send_signal(signal.SIGCONT)
        return False

    until(stopped_in_the_middle, "a preparation was caught", every_s=0.001)
    child.kill()
    child.wait(60)
    child.stdout.close()

    assert leftover(trace) == {7}


async def test_nothing_is_suspect_after_an_image_or_after_the_end(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    await to_thread.run_sync(bad.write_bytes, b"no image")
    trace = tmp_path / "preparing"

    async with Preparation(trace, threads=2) as preparation:
        with pytest.raises(ImageUnreadable):
            await preparation.prepare(job(3, bad), POLICY)
        assert await to_thread.run_sync(leftover, trace) == frozenset()

    assert not await to_thread.run_sync(trace.exists)
    assert await to_thread.run_sync(leftover, trace) == frozenset()


async def test_an_image_that_has_its_sidecar_by_now_is_not_opened(tmp_path: Path) -> None:
    there, empty = tmp_path / "a.txt", tmp_path / "b.txt"
    await to_thread.run_sync(there.write_text, "a caption")
    await to_thread.run_sync(empty.write_text, "")
    picture = tmp_path / "b.png"
    await to_thread.run_sync(lambda: Image.new("RGB", (8, 8)).save(picture))

    async with Preparation(tmp_path / "preparing") as preparation:
        none = await preparation.prepare(job(1, tmp_path / "gone.png"), POLICY, unless=[str(there)])
        some = await preparation.prepare(job(2, picture), POLICY, unless=[str(there), str(empty)])

    assert none is None
    assert some is not None


@pytest.mark.parametrize("content", [b"", b"\0" * 5, b"\7" + b"\0" * 7 + b"\1\2"])
def test_a_trace_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, content: bytes) -> None:
    trace = tmp_path / "preparing"
    trace.write_bytes(content)

    assert leftover(trace) == ({7} if len(content) > 8 else frozenset())


async def test_a_suspect_is_prepared_with_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, suspect = tmp_path / "preparing", 99
    numbers = [1, 2, 3, suspect, 4, 5, 6]
    await to_thread.run_sync(_pictures, tmp_path, numbers)
    beside: dict[int, list[frozenset[JobId]]] = {}
    two_at_once = threading.Barrier(2)

    def watched(path: str, policy: ImagePolicy, **how: Any) -> Prepared:
        """The real work, which looks at the trace on either side of it, and lets others begin."""
        number = int(Path(path).stem)
        if number in numbers[:2]:
            two_at_once.wait(60)
        looks = beside.setdefault(number, [])
        looks.append(leftover(trace))
        time.sleep(0.1 * (1 + len(beside) % 3))
        made = prepare(path, policy, **how)
        looks.append(leftover(trace))
        return made

    monkeypatch.setattr("captiv.dispatch.preparation.prepare", watched)
    async with Preparation(trace, threads=4) as preparation, anyio.create_task_group() as work:
        for number in numbers:
            one = replace(job(number, tmp_path / f"{number}.png"), suspect=number == suspect)
            work.start_soon(preparation.prepare, one, POLICY)

    assert beside.keys() == set(numbers)
    assert beside.pop(suspect) == [{suspect}, {suspect}]
    assert any(len(together) > 1 for looks in beside.values() for together in looks)


def _pictures(folder: Path, numbers: list[int]) -> None:
    for number in numbers:
        Image.new("RGB", (40, 40), (number, 0, 0)).save(folder / f"{number}.png")
