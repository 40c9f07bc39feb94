import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import Failure, Job, Received, Run
from captiv.core.naming import Place
from captiv.core.spec import Output
from captiv.dispatch.completer import Completer
from captiv.errors import CaptivError, StoreFull, leading
from captiv.store import Connection, captions, ingest, jobs, lease, runs
from tests.support import DEADLINE_S
from tests.world import World, read, until


def answer(job: Job, text: str = "a red square") -> Received:
    return Received(job, text, None, "shapes", "shapes", "{}", None, 3)


async def claimed(world: World, run: Run, n: int = 100) -> list[Job]:
    return await world.store.awrite(jobs.claim, run.id, n, world.session, now_ms())


@asynccontextmanager
async def taking(world: World) -> AsyncIterator[Completer]:
    async with anyio.create_task_group() as tg:
        completer = world.completer()
        tg.start_soon(completer.run)
        yield completer
        tg.cancel_scope.cancel()


async def one(world: World, **selection: Any) -> tuple[Run, Job, Path]:
    path = await world.picture("one.png")
    run = await world.enqueue(path, spec=world.spec(**selection))
    (job,) = await claimed(world, run)
    return run, job, Path(path).with_suffix(".txt")


async def done(completer: Completer) -> None:
    with anyio.fail_after(DEADLINE_S):
        await completer.settled()


async def test_a_caption_is_committed_then_written_then_done(world: World) -> None:
    run, job, sidecar = await one(world)

    async with taking(world) as completer:
        assert completer.begin(job)
        await completer.received(answer(job))
        assert not completer.idle(run.id)
        await done(completer)

    assert await read(sidecar) == "a red square"
    assert (await world.counts(run)).done == 1
    assert world.told.captions == {job.path: "a red square"}
    latest = await world.store.aread(captions.latest, job.place)
    assert latest is not None
    assert latest.text == "a red square"


async def test_a_caption_whose_file_cannot_be_written_is_committed_all_the_same(
    world: World,
) -> None:
    run, job, sidecar = await one(world)
    await to_thread.run_sync(sidecar.mkdir)

    async with taking(world) as completer:
        await completer.received(answer(job))
        await done(completer)
        counts = await world.counts(run)
        unwritable = dict(world.told.unwritable)
        await to_thread.run_sync(sidecar.rmdir)
        await completer.write_leftovers(run)
        await done(completer)

    assert counts.captioned == 1
    assert list(unwritable) == [job.path]
    assert await read(sidecar) == "a red square"
    assert (await world.counts(run)).done == 1


async def test_what_came_back_is_kept_and_written_although_all_is_cancelled(world: World) -> None:
    paths = await world.pictures(200)
    run = await world.enqueue(*paths)
    work = await claimed(world, run, 200)

    async with taking(world) as completer:
        for job in work:
            await completer.received(answer(job, job.path))
        # leaving cancels before the first commit

    assert (await world.counts(run)).done == 200
    for path in paths:
        assert await read(Path(path).with_suffix(".txt")) == path


async def test_a_caption_is_not_lost_by_a_cancellation_while_it_waits_for_room(
    world: World,
) -> None:
    paths = await world.pictures(3)
    run = await world.enqueue(*paths)
    work = await claimed(world, run)
    completer = world.completer()
    for _ in range(1024):
        await completer._room.acquire()

    with anyio.move_on_after(0.01):
        await completer.received(answer(work[0]))
    async with anyio.create_task_group() as tg:
        tg.start_soon(completer.run)
        await done(completer)
        tg.cancel_scope.cancel()

    assert (await world.counts(run)).done == 1


@pytest.mark.parametrize("text", ["my own words", "a red square"])
async def test_a_sidecar_that_came_meanwhile_is_kept_unless_it_is_the_same(
    world: World, text: str
) -> None:
    run, job, sidecar = await one(world)
    await to_thread.run_sync(sidecar.write_text, text)

    async with taking(world) as completer:
        await completer.received(answer(job))
        await done(completer)

    assert await read(sidecar) == text
    assert (await world.counts(run)).kept == (text == "my own words")
    assert bool(world.told.kept_paths) == (text == "my own words")


async def test_overwriting_keeps_a_hand_edit_and_records_a_strangers_text(world: World) -> None:
    run, job, sidecar = await one(world, overwrite="yes")
    await to_thread.run_sync(sidecar.write_text, "from another tool")

    async with taking(world) as completer:
        await completer.received(answer(job))
        await done(completer)
    texts = [(c.text, c.source) for c in await world.store.aread(captions.history, job.place)]

    assert await read(sidecar) == "a red square"
    assert ("from another tool", "import") in texts

    await to_thread.run_sync(sidecar.write_text, "my own words")
    await world.store.awrite(runs.finish_if_complete, run.id, now_ms())
    again, job, _ = await one(world, overwrite="yes")
    async with taking(world) as completer:
        await completer.received(answer(job, "a blue square"))
        await done(completer)

    assert await read(sidecar) == "my own words"
    assert (await world.counts(again)).kept == 1


async def test_two_sidecars_of_one_image_are_made_at_the_same_time(world: World) -> None:
    run, job, sidecar = await one(world)
    beside = Place(job.path, str(sidecar.with_suffix(".caption")))
    await world.store.awrite(ingest.add_jobs, run.id, [beside], now_ms())
    (other,) = await claimed(world, run)

    async with taking(world) as completions:
        assert completions.begin(job)
        assert completions.begin(other)
        for item, text in ((job, "for the .txt"), (other, "for the .caption")):
            await completions.received(answer(item, text))
            await done(completions)
            assert world.told.captions.pop(job.path) == text

    assert await read(sidecar) == "for the .txt"
    assert await read(beside.sidecar) == "for the .caption"
    for place, text in ((job.place, "for the .txt"), (beside, "for the .caption")):
        texts = await world.store.aread(captions.history, place)
        assert [found.text for found in texts] == [text]


async def test_one_sidecar_is_not_made_by_two_runs_at_the_same_time(world: World) -> None:
    _, job, _ = await one(world)
    second = await world.enqueue(job.path, spec=world.spec(overwrite="all"))
    (other,) = await claimed(world, second)

    async with taking(world) as completions:
        assert completions.begin(job)
        assert not completions.begin(other)
        completions.released(job)
        assert completions.begin(other)


async def test_a_run_that_saves_nothing_writes_nothing(world: World) -> None:
    path = await world.picture("one.png")
    run = await world.enqueue(path, spec=world.spec(output=Output(save=False)))
    (job,) = await claimed(world, run)

    async with taking(world) as completer:
        await completer.received(answer(job))
        await done(completer)

    assert await read(Path(path).with_suffix(".txt")) is None
    assert world.told.captions == {path: "a red square"}
    assert (await world.counts(run)).done == 1


async def test_an_answer_for_a_job_that_was_taken_away_is_refused_and_holds_nothing_up(
    world: World,
) -> None:
    run, job, sidecar = await one(world)
    other = await world.store.awrite(lease.begin_session, 2, "here", "dispatcher", now_ms())
    await world.store.awrite(jobs.recover, other)

    async with taking(world) as completer:
        assert completer.begin(job)
        await completer.received(answer(job))
        await done(completer)
        (again,) = await claimed(world, run)
        assert completer.begin(again)

    assert await read(sidecar) is None
    assert (await world.counts(run)).running == 1


async def test_an_image_is_in_work_for_one_job_at_a_time_and_always_let_go(world: World) -> None:
    path = await world.picture("one.png")
    first = await world.enqueue(path)
    second = await world.enqueue(path, spec=world.spec(output=Output(prefix="x")))
    (a,), (b,) = await claimed(world, first), await claimed(world, second)

    async with taking(world) as completer:
        assert completer.begin(a)
        assert not completer.begin(b)
        completer.released(b)
        assert not completer.begin(b), "b let go of what is a's"
        completer.released(a)
        assert completer.begin(b)
        completer.failed(Failure(b, "image_unreadable", "it is no image"))
        assert completer.begin(a)
        await completer.received(answer(a))
        await done(completer)
        assert completer.begin(b)


async def test_a_table_that_is_busy_for_a_while_loses_nothing(world: World) -> None:
    run, job, sidecar = await one(world)
    await world.store.awrite(lambda conn: conn.execute("PRAGMA busy_timeout=20").fetchone())

    def hold() -> sqlite3.Connection:
        other = sqlite3.connect(world.store.path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        return other

    other = await to_thread.run_sync(hold)
    async with taking(world) as completer:
        await completer.received(answer(job))
        await anyio.sleep(0.3)
        assert not completer.idle(run.id)
        await to_thread.run_sync(other.close)
        await done(completer)

    assert await read(sidecar) == "a red square"


async def test_a_full_disk_ends_the_work_and_what_was_lost_is_said(world: World) -> None:
    run, job, sidecar = await one(world)

    def fill(conn: Connection) -> None:
        (pages,) = conn.execute("PRAGMA page_count").fetchone()
        conn.execute(f"PRAGMA max_page_count={pages}").fetchone()

    await world.store.awrite(fill)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with taking(world) as completer:
            await completer.received(answer(job, "a red square " * 2000))
            await until(lambda: bool(world.told.warnings))

    error = leading(caught.value)
    assert isinstance(error, CaptivError)
    assert isinstance(error, StoreFull)
    assert "1 captions that had come back could not be kept" in world.told.warnings[0]
    assert (await world.counts(run)).running == 1
    assert await read(sidecar) is None


async def test_what_a_full_disk_refused_is_committed_at_the_end_if_it_can_be(
    world: World,
) -> None:
    run, job, sidecar = await one(world)
    completer = world.completer()

    def fill(conn: Connection) -> None:
        (pages,) = conn.execute("PRAGMA page_count").fetchone()
        conn.execute(f"PRAGMA max_page_count={pages}").fetchone()

    await world.store.awrite(fill)
    await completer.received(answer(job, "a red square " * 2000))
    with pytest.raises(StoreFull):
        await completer._commit()
    await world.store.awrite(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchone())
    await completer._flush()

    assert (await world.counts(run)).done == 1
    assert await read(sidecar)
    assert not world.told.warnings
