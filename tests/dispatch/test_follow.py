from anyio import Path as Disk

from captiv.clock import now_ms
from captiv.core.jobs import Failure, Run
from captiv.core.spec import Output
from captiv.dispatch.follow import Follower
from tests.dispatch.test_completer import answer, claimed, taking
from tests.world import World


async def work_elsewhere(world: World, run: Run) -> list[str]:
    """Do what another process does: one caption, one failure, one kept, one that cannot be written.

    Return the four paths.
    """
    work = await claimed(world, run, 4)
    other = World(world.folder, world.store, world.session, specs=world.specs)
    await Disk(work[3].path).with_suffix(".txt").mkdir()
    async with taking(other) as completer:
        await completer.received(answer(work[0], "a red square"))
        completer.failed(Failure(work[1], "image_unreadable", "it is no image"))
        await completer.kept(work[2])
        await completer.received(answer(work[3], "a blue square"))
        await completer.settled()
    return [job.path for job in work]


async def test_every_image_that_another_process_did_is_told(world: World) -> None:
    run = await world.enqueue(*await world.pictures(6))
    follower = Follower(world.store, run, world.told, since_ms=now_ms())

    one, two, three, four = await work_elsewhere(world, run)
    await follower.tell(at_end=True)

    told = world.told
    assert told.captions == {one: "a red square"}
    assert told.failures == {two: "image_unreadable"}
    assert told.kept_paths == [three]
    assert list(told.unwritable) == [four]


async def test_captions_and_failures_from_before_are_no_news(world: World) -> None:
    run = await world.enqueue(*await world.pictures(6))
    _, _, three, _ = await work_elsewhere(world, run)
    follower = Follower(world.store, run, world.told, since_ms=now_ms() + 1)

    await follower.tell(at_end=False)

    told = world.told
    assert (told.captions, told.unwritable) == ({}, {})
    assert (told.failures, told.kept_paths) == ({}, [three])


async def test_captions_of_several_lines_that_another_process_wrote_are_told(world: World) -> None:
    output = Output(suffix="\n.")
    run = await world.enqueue(*await world.pictures(2), spec=world.spec(output=output))
    follower = Follower(world.store, run, world.told, since_ms=now_ms())
    work = await claimed(world, run, 2)
    other = World(world.folder, world.store, world.session, specs=world.specs)
    async with taking(other) as completer:
        await completer.received(answer(work[0], output.text("a red square\n\nIt is red.")))
        await completer.received(answer(work[1], output.text("a red square")))
        await completer.settled()

    await follower.tell(at_end=True)

    assert world.told.cut_short_paths == [work[0].path]
