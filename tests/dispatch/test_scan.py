from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import Path as Disk
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import Failure, Run
from captiv.core.naming import Place
from captiv.core.spec import Output
from captiv.core.texts import content_hash
from captiv.dispatch.preparation import stamp_of
from captiv.dispatch.scan import Intake
from captiv.editing import sidecars
from captiv.store import captions, ingest, jobs, past, runs
from tests.dispatch.test_completer import answer, claimed, taking
from tests.world import World, until


def intake(world: World, run: Run) -> Intake:
    return Intake(world.store, run, world.told, now_ms=now_ms, on_added=lambda: None)


def place_of(path: str) -> Place:
    return Output().place_of(path)


async def has(world: World, run: Run, **counts: int) -> bool:
    now = await world.counts(run)
    return all(getattr(now, name) == n for name, n in counts.items())


async def scanned(world: World, run: Run) -> bool:
    return (await world.store.aread(runs.get, run.id)).scanned


@asynccontextmanager
async def waiting_at_its_limit(world: World, run: Run) -> AsyncIterator[None]:
    """Have a scan that goes on until it is left."""
    async with anyio.create_task_group() as tg:
        tg.start_soon(intake(world, run).scan)

        async def full() -> bool:
            return (await world.store.aread(runs.get, run.id)).enqueued

        await until(full)
        yield
        tg.cancel_scope.cancel()


async def scan(world: World, run: Run) -> Run:
    await intake(world, run).scan()
    await world.counts(run)
    return await world.store.aread(runs.get, run.id)


async def test_images_become_jobs_and_those_with_a_caption_are_counted(world: World) -> None:
    paths = await world.pictures(5)
    await Disk(paths[0]).with_suffix(".txt").write_text("a caption")
    await Disk(paths[1]).with_suffix(".txt").write_text("")

    run = await scan(world, await world.open())

    assert run.scanned
    assert (run.counts.pending, run.counts.skipped) == (4, 1)


async def test_a_blank_sidecar_is_no_caption_and_one_spelt_otherwise_is(world: World) -> None:
    paths = await world.pictures(4)
    for path, end, data in (
        (paths[0], ".txt", b" \n"),
        (paths[1], ".txt", b"\xef\xbb\xbf"),
        (paths[2], ".txt", b"\0" * 64),
        (paths[3], ".TXT", b"a caption"),
    ):
        await Disk(path).with_suffix(end).write_bytes(data)

    run = await scan(world, await world.open())

    assert (run.counts.pending, run.counts.skipped) == (3, 1)


async def test_a_scan_that_starts_over_counts_each_image_once(world: World) -> None:
    paths = await world.pictures(5)
    await Disk(paths[0]).with_suffix(".txt").write_text("a caption")
    first = await scan(world, await world.open())
    await Disk(paths[1]).with_suffix(".txt").write_text("this run's own")

    again = await scan(world, await world.open())

    assert again.id == first.id
    assert (again.counts.total, again.counts.skipped) == (4, 1)


async def test_a_limit_counts_what_is_to_be_done_however_often_it_is_scanned(
    world: World,
) -> None:
    await world.pictures(9)
    run = await world.open(world.spec(limit=4))

    for _ in range(2):
        async with waiting_at_its_limit(world, run):
            counts = await world.counts(run)
        assert (counts.total, counts.pending) == (4, 4)


async def test_an_image_that_fails_makes_room_for_another_until_the_limit_is_captioned(
    world: World,
) -> None:
    await world.pictures(9)
    run = await world.open(world.spec(limit=3))

    async with waiting_at_its_limit(world, run):
        one, two, three = await claimed(world, run)
        failures = [Failure(job, "image_unreadable", "it is no image") for job in (one, three)]
        await world.store.awrite(jobs.fail, failures, now_ms())
        await until(lambda: has(world, run, pending=2))
        four, five = await claimed(world, run)
        async with taking(world) as completer:
            for job in (two, four, five):
                await completer.received(answer(job, "a dog"))
            await completer.settled()
        await until(lambda: scanned(world, run))

    counts = await world.counts(run)
    assert (counts.done, counts.failed, counts.total) == (3, 2, 5)


async def test_what_was_found_beyond_a_limit_is_no_job_until_there_is_room(world: World) -> None:
    for name in ("a.png", "b.png", "e.png"):
        await world.picture(name)
    for twin in ("c.png", "c.bmp", "f.png", "f.bmp"):
        await world.picture(twin)
    run = await world.open(world.spec(limit=2))

    async with waiting_at_its_limit(world, run):
        assert set(await world.rows(run)) == {"a.png", "b.png"}
        first, _ = await claimed(world, run)
        failure = Failure(first, "image_unreadable", "it is no image")
        await world.store.awrite(jobs.fail, [failure], now_ms())
        await until(lambda: has(world, run, pending=1))

        assert set(await world.rows(run)) == {"a.png", "b.png", "c.png", "c.bmp", "e.png"}
        assert {Path(path).name for path in world.told.failures} == {"c.png", "c.bmp"}


async def test_an_image_that_failed_in_another_run_fails_again_without_a_try(
    world: World,
) -> None:
    bad, good, fixed, hidden = await world.pictures(4)
    first = await scan(world, await world.open())
    by_path = {job.path: job for job in await claimed(world, first)}
    failures = [
        Failure(by_path[path], code, "Because.", file=await to_thread.run_sync(stamp_of, path))
        for path, code in (
            (bad, "image_unreadable"),
            (fixed, "image_unreadable"),
            (hidden, "image_missing"),
        )
    ]
    await world.store.awrite(jobs.fail, failures, now_ms())
    await world.store.awrite(jobs.release, [by_path[good]])
    await world.store.awrite(runs.set_aside, first.id, now_ms())
    await world.picture(Path(fixed).name, "blue")
    world.told.failures.clear()

    run = await scan(world, await world.open())

    rows = await world.rows(run)
    assert {name: row.state.value for name, row in rows.items()} == {
        Path(bad).name: "failed",
        Path(good).name: "pending",
        Path(fixed).name: "pending",
        Path(hidden).name: "pending",
    }
    assert rows[Path(bad).name].error == "Because."
    assert world.told.failures == {}, "an old failure is told as new"
    assert await world.store.aread(past.failed_before, run.id, run.created_ms) == 1


async def test_an_image_that_failed_is_tried_when_asked_or_when_asked_otherwise(
    world: World,
) -> None:
    (bad,) = await world.pictures(1)
    first = await scan(world, await world.open())
    (job,) = await claimed(world, first)
    failure = Failure(
        job, "degenerate", "Because.", "dog dog", file=await to_thread.run_sync(stamp_of, bad)
    )
    await world.store.awrite(jobs.fail, [failure], now_ms())
    await world.store.awrite(runs.finish_if_complete, first.id, now_ms())

    other = await scan(world, await world.open(world.spec(model="blip")))
    asked = await scan(world, await world.open(world.spec(retry_failed=True)))

    assert (other.counts.pending, asked.counts.pending) == (1, 1)


async def test_lost_sidecars_of_a_run_that_goes_on_are_written_from_the_job_table(
    world: World,
) -> None:
    made = await world.pictures(5)
    run = await world.open()
    await world.store.awrite(ingest.add_jobs, run.id, [*map(place_of, made)], now_ms())
    jobs_ = await claimed(world, run)
    async with taking(world) as completer:
        for job in jobs_:
            await completer.received(answer(job, f"caption of {Path(job.path).name}"))
        await completer.settled()
    lost, removed, edited, moved, whole = (Path(path).with_suffix(".txt") for path in made)
    for path in (lost, moved):
        await Disk(path).unlink()
    await Disk(made[3]).rename(world.folder / "elsewhere.png")
    await Disk(edited).write_text("my own words")
    assert await to_thread.run_sync(sidecars.drop, world.store, place_of(made[1]))

    after = await scan(world, await world.open())

    assert await Disk(lost).read_text() == "caption of p000.png"
    assert await Disk(edited).read_text() == "my own words"
    assert not await Disk(removed).exists()
    assert not await Disk(moved).exists(), "a caption without its image"
    assert await Disk(whole).exists()
    rows = await world.rows(after)
    pending = {name for name, row in rows.items() if row.state.value == "pending"}
    assert pending == {"p001.png", "elsewhere.png"}
    assert world.told.warnings == ["1 sidecar was gone, and written again from the job table."]


async def test_a_lost_sidecar_that_cannot_be_written_waits_for_its_file(world: World) -> None:
    made = await world.pictures(2)
    spec = world.spec(overwrite="yes")
    run = await world.enqueue(*made, spec=spec)
    one, _ = await claimed(world, run)
    async with taking(world) as completer:
        await completer.received(answer(one, "a dog"))
        await completer.settled()
    sidecar = Disk(one.path).with_suffix(".txt")
    await sidecar.unlink()
    await sidecar.mkdir()

    resumed = await world.open(spec)
    await intake(world, resumed).restore()

    assert resumed.scanned
    assert list(world.told.unwritable) == [one.path]
    assert (await world.counts(run)).captioned == 1


async def test_images_that_would_share_a_sidecar_are_refused_and_told_once(world: World) -> None:
    await world.pictures(1)
    one, two = await world.picture("a.png"), await world.picture("a.bmp")

    await scan(world, await world.open())
    run = await scan(world, await world.open())

    assert world.told.failures == {one: "sidecar_shared", two: "sidecar_shared"}
    assert (run.counts.failed, run.counts.pending) == (2, 1)

    named = await scan(world, await world.open(world.spec(output=Output(naming="full"))))

    assert named.counts.pending == 3


async def test_a_hand_edit_is_kept_and_told_once(world: World) -> None:
    edited, own, strange = (await world.pictures(3))[:3]
    for path, text in ((edited, "my words"), (own, "captiv's"), (strange, "another tool's")):
        await Disk(path).with_suffix(".txt").write_text(text)
    for path, text in ((edited, "captiv's"), (edited, "my words"), (own, "captiv's")):
        await world.store.awrite(
            captions.record,
            Output().place_of(path),
            text,
            content_hash(text),
            "hand" if text == "my words" else "import",
            now_ms(),
        )

    await scan(world, await world.open(world.spec(overwrite="yes")))
    run = await scan(world, await world.open(world.spec(overwrite="yes")))

    assert world.told.kept_paths == [edited]
    assert (run.counts.kept, run.counts.pending) == (1, 2)

    every = await scan(world, await world.open(world.spec(overwrite="all")))

    assert every.counts.pending == 3


async def test_what_cannot_be_searched_is_a_failure_with_its_reason(world: World) -> None:
    gone = str(world.folder / "gone")
    await Disk(world.folder / "link.png").symlink_to("nowhere.png")

    run = await scan(world, await world.open(world.spec(roots=(str(world.folder), gone))))

    assert world.told.failures == {
        gone: "folder_unreadable",
        str(world.folder / "link.png"): "image_missing",
    }
    assert run.counts.failed == 2


async def test_a_run_that_is_set_aside_is_scanned_no_further(world: World) -> None:
    await world.pictures(3)
    run = await world.open()
    await world.store.awrite(runs.set_aside, run.id, now_ms())

    after = await scan(world, run)

    assert after.counts.total == 0
    assert not after.scanned


async def test_without_saving_sidecars_are_of_no_interest(world: World) -> None:
    paths = await world.pictures(2)
    await to_thread.run_sync(Path(paths[0]).with_suffix(".txt").write_text, "a caption")

    run = await scan(world, await world.open(world.spec(output=Output(save=False))))

    assert run.counts.pending == 2


async def test_a_folder_by_the_name_of_a_sidecar_is_no_caption(world: World) -> None:
    (path,) = await world.pictures(1)
    await Disk(path).with_suffix(".txt").mkdir()

    run = await scan(world, await world.open())

    assert (run.counts.pending, run.counts.skipped) == (1, 0)
