"""The stream into a continuous engine: room is filled at once, and each image stands alone."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from captiv_worker.batch_file import BatchFile
from captiv_worker.device import Ready
from captiv_worker.engines import Answer, DeviceLost, EngineItem, Failure, Loaded, Outcome, Progress
from captiv_worker.inside import Inside
from captiv_worker.isolation import Ran
from captiv_worker.stream import Stream
from captiv_worker.work import Work
from PIL import Image

from captiv.offload import offload
from captiv.wire import Generation


@dataclass
class Held:
    """Answers an image when a test says so; the prompt `break` and `lose` raise instead."""

    inside: dict[str, anyio.Event] = field(default_factory=dict)
    entered: list[str] = field(default_factory=list)
    gone: anyio.Event = field(default_factory=anyio.Event)

    def load(self, progress: Progress) -> Loaded:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    async def caption(self, item: EngineItem) -> Outcome:
        name = str(item.prompt)
        self.entered.append(name)
        self.inside[name] = anyio.Event()
        await self.inside[name].wait()
        del self.inside[name]
        if name.startswith("break"):
            raise ValueError("scripted")
        if name.startswith("lose"):
            raise DeviceLost("the server is gone")
        return Answer(name)

    async def watch(self) -> None:
        await self.gone.wait()
        raise DeviceLost("the server ended")

    def answer(self, name: str) -> None:
        self.inside[name].set()


@dataclass
class Streamed:
    engine: Held
    stream: Stream
    file: Path
    told: dict[str, Ran] = field(default_factory=dict)
    captioned: list[None] = field(default_factory=list)

    def offer(self, *names: str) -> None:
        for name in names:
            item = EngineItem(Image.new("RGB", (8, 8)), name, Generation())
            self.stream.offer(Ready(Work(name, b""), item))

    async def named(self) -> list[str]:
        """Return the keys in the batch file."""
        try:
            return sorted(json.loads(await offload(self.file.read_text)))
        except FileNotFoundError:
            return []

    async def until_named(self, *names: str) -> None:
        while await self.named() != sorted(names):
            await anyio.sleep(0.005)

    async def until_inside(self, *names: str) -> None:
        while sorted(self.engine.inside) != sorted(names):
            await anyio.sleep(0.005)

    async def until_told(self, *names: str) -> None:
        while not self.told.keys() >= set(names):
            await anyio.sleep(0.005)


def streamed(file: Path, capacity: int) -> Streamed:
    engine = Held()
    made: Streamed

    def tell(results: object) -> None:
        made.told.update({work.key: ran for work, ran in results})  # type: ignore[attr-defined]

    inside = Inside(BatchFile(file), lambda: made.captioned.append(None))
    made = Streamed(engine, Stream(engine, capacity, inside, tell), file)
    return made


@asynccontextmanager
async def serving(file: Path, capacity: int) -> AsyncIterator[Streamed]:
    made = streamed(file, capacity)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.stream.serve)
            yield made
            made.stream.stop()


@pytest.mark.anyio
async def test_room_is_filled_at_once_by_whoever_waits_longest(tmp_path: Path) -> None:
    async with serving(tmp_path / "batch", 2) as made:
        made.offer("a", "b", "c", "d")
        await made.until_inside("a", "b")
        assert made.stream.waiting() == 2

        made.engine.answer("b")
        await made.until_inside("a", "c")
        made.engine.answer("c")
        await made.until_inside("a", "d")
        made.engine.answer("a")
        made.engine.answer("d")

    assert made.engine.entered == ["a", "b", "c", "d"]
    assert {key: ran.outcome for key, ran in made.told.items()} == {k: Answer(k) for k in "abcd"}
    assert [made.told[key].batch for key in "bcad"] == [2, 2, 2, 1]
    assert made.captioned


@pytest.mark.anyio
async def test_the_batch_file_names_all_that_is_inside_and_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path / "batch", 3) as made:
        made.offer("a", "b", "c", "d")
        await made.until_inside("a", "b", "c")
        assert await made.named() == ["a", "b", "c"]

        made.engine.answer("b")
        await made.until_inside("a", "c", "d")
        await made.until_named("a", "c", "d")
        for name in ("a", "c", "d"):
            made.engine.answer(name)

    assert await made.named() == []


@pytest.mark.anyio
async def test_an_image_that_breaks_the_engine_fails_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "batch", 3) as made:
        made.offer("break", "a", "b")
        await made.until_inside("break", "a", "b")
        made.engine.answer("a")
        await made.until_told("a")
        made.engine.answer("break")
        await made.until_told("break")
        made.engine.answer("b")

    failure = made.told["break"].outcome
    assert isinstance(failure, Failure)
    assert (failure.code, failure.suspect) == ("engine_failed", True)
    assert [made.told[key].outcome for key in "ab"] == [Answer("a"), Answer("b")]


@pytest.mark.anyio
async def test_where_no_other_is_answered_the_engine_is_to_blame(tmp_path: Path) -> None:
    async with serving(tmp_path / "batch", 2) as made:
        made.offer("break1", "break2")
        await made.until_inside("break1", "break2")
        made.engine.answer("break1")
        made.engine.answer("break2")

    assert [getattr(ran.outcome, "suspect", None) for ran in made.told.values()] == [False, False]


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["a caption", "the watch"])
async def test_a_lost_engine_ends_the_stream_and_leaves_all_inside_named(
    tmp_path: Path, end: str
) -> None:
    made = streamed(tmp_path / "batch", 2)

    async def lose() -> None:
        made.offer("lose", "a", "later")
        await made.until_inside("lose", "a")
        if end == "a caption":
            made.engine.answer("lose")
        else:
            made.engine.gone.set()

    with pytest.raises(ExceptionGroup) as raised, anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lose)
            await made.stream.serve()

    assert isinstance(raised.value.exceptions[0], DeviceLost)
    assert await made.named() == ["a", "lose"]
    assert made.told == {}


@pytest.mark.anyio
async def test_an_image_enters_only_when_the_file_names_it(tmp_path: Path) -> None:
    inside = Inside(BatchFile(tmp_path / "batch"), lambda: None)
    entered = anyio.Event()

    async def enter() -> None:
        await inside.enter("a")
        entered.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        assert not entered.is_set()

        await inside.save()
        await entered.wait()

    assert json.loads(await offload((tmp_path / "batch").read_text)) == ["a"]
