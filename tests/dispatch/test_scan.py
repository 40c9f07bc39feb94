from pathlib import Path

from anyio import Path as Disk
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import Run
from captiv.core.spec import Output
from captiv.core.texts import content_hash
from captiv.dispatch.scan import Intake
from captiv.store import captions, runs
from tests.world import World


async def scan(world: World, run: Run) -> Run:
    intake = Intake(world.store, run, world.told, now_ms=now_ms, on_added=lambda: None)
    await intake.scan()
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
    run = await scan(world, await world.open(world.spec(limit=4)))
    again = await scan(world, run)

    assert (run.counts.total, again.counts.total) == (4, 4)


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
