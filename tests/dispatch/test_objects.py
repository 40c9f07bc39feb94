"""Structured answers on their way: two files for each image, each kept as any sidecar is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import Companion, Job, JobId, Received, Run, Unwritten
from captiv.core.naming import Place
from captiv.core.spec import RunSpec
from captiv.core.structure import NAMED, checked
from captiv.dispatch.scan import Intake
from captiv.dispatch.writer import Writer
from captiv.editing import undo
from captiv.output.sidecar import Written
from captiv.store import captions, jobs
from tests.world import World, read

OBJECT = '{"caption": "a dog", "tags": ["dog"]}\n'
SCHEMA = checked(json.dumps(NAMED["caption-tags"]), "caption-tags").text


def structured(world: World, **selection: Any) -> RunSpec:
    spec = world.spec(**selection)
    captioning = spec.captioning.model_copy(update={"answer_schema": SCHEMA})
    return spec.model_copy(update={"captioning": captioning})


def writer(world: World) -> Writer:
    return Writer(world.store, spec_of=world.specs.__getitem__, now_ms=now_ms)


def beside(path: str, extension: str = ".json") -> str:
    return str(Path(path).with_suffix(extension))


def answer(job: Job, text: str = "a dog, dog", object_: str = OBJECT) -> Received:
    companion = Companion(beside(job.path), object_)
    return Received(job, text, None, "joy", "joy", "{}", None, 3, companion=companion)


async def claimed(world: World, run: Run) -> list[Job]:
    return await world.store.awrite(jobs.claim, run.id, 100, world.session, now_ms())


async def received(world: World, run: Run) -> list[Unwritten]:
    """Answer every image of the run; what is received is committed, and not written."""
    answers = [answer(job) for job in await claimed(world, run)]
    return await world.store.awrite(jobs.receive, answers, now_ms())


async def finish(world: World, items: list[Unwritten]) -> None:
    await world.store.awrite(jobs.finish, [(i.job_id, i.attempt) for i in items], now_ms())


async def put_by_hand(path: str, text: str) -> None:
    await to_thread.run_sync(Path(path).write_text, text)


async def removed(path: str) -> None:
    await to_thread.run_sync(Path(path).unlink)


async def test_text_and_object_are_both_written_and_have_histories_of_their_own(
    world: World,
) -> None:
    (path,) = await world.pictures(1)
    run = await world.enqueue(path, spec=structured(world))

    results = await writer(world).put(await received(world, run))

    assert results == [Written.WRITTEN]
    assert await read(beside(path, ".txt")) == "a dog, dog"
    assert await read(beside(path)) == OBJECT
    for file, text in ((".txt", "a dog, dog"), (".json", OBJECT)):
        place = Place(path, beside(path, file))
        assert [c.text for c in await world.store.aread(captions.history, place)] == [text]


async def test_what_lay_between_the_two_files_is_finished_from_the_store(world: World) -> None:
    """Killed after the object was written, before its text was; then before the object was."""
    for lost in (".txt", ".json"):
        (path,) = await world.pictures(1, prefix=lost[1:])
        run = await world.enqueue(path, spec=structured(world, recursive=lost == ".txt"))
        await writer(world).put(await received(world, run))
        await removed(beside(path, lost))

        left = await world.store.aread(jobs.unwritten, run.id, JobId(0), 10)
        results = await writer(world).put(left)

        assert results == [Written.WRITTEN], lost
        assert await read(beside(path, ".txt")) == "a dog, dog"
        assert await read(beside(path)) == OBJECT


async def test_a_text_by_hand_is_kept_and_the_object_that_lacked_is_written(world: World) -> None:
    (path,) = await world.pictures(1)
    await put_by_hand(beside(path, ".txt"), "my own words")
    run = await world.enqueue(path, spec=structured(world))

    results = await writer(world).put(await received(world, run))

    assert results == [Written.WRITTEN]
    assert await read(beside(path, ".txt")) == "my own words"
    assert await read(beside(path)) == OBJECT


async def test_overwriting_keeps_another_programs_json_and_says_so(world: World) -> None:
    """Download tools leave an `a.json` beside `a.png`: only `--overwrite=all` replaces it."""
    for overwrite, result, held in (
        ("yes", Written.KEPT, '{"id": 7}'),
        ("all", Written.WRITTEN, OBJECT),
    ):
        (path,) = await world.pictures(1, prefix=overwrite)
        await put_by_hand(beside(path), '{"id": 7}')
        run = await world.enqueue(path, spec=structured(world, overwrite=overwrite))

        results = await writer(world).put(await received(world, run))

        assert results == [result], overwrite
        assert await read(beside(path)) == held
        assert await read(beside(path, ".txt")) == "a dog, dog"
    await to_thread.run_sync(undo, world.store, Place(path, beside(path)))
    assert await read(beside(path)) == '{"id": 7}'


async def test_an_object_that_cannot_be_written_leaves_its_text_waiting_with_it(
    world: World,
) -> None:
    (path,) = await world.pictures(1)
    run = await world.enqueue(path, spec=structured(world))
    await to_thread.run_sync(Path(beside(path)).mkdir)

    (result,) = await writer(world).put(await received(world, run))

    assert not isinstance(result, Written)
    assert not await to_thread.run_sync(Path(beside(path, ".txt")).exists)


async def scanned(world: World, run: Run) -> list[str]:
    """Scan the folder; return the names of the images that are to be captioned."""
    noop: Callable[[], None] = lambda: None  # noqa: E731
    await Intake(world.store, run, world.told, now_ms=now_ms, on_added=noop).scan()
    return sorted(name for name, row in (await world.rows(run)).items() if row.state == "pending")


async def test_an_image_is_wanted_until_it_has_both_files(world: World) -> None:
    both, text, only, none = await world.pictures(4)
    for path in (both, text):
        await put_by_hand(beside(path, ".txt"), "words")
    for path in (both, only):
        await put_by_hand(beside(path), "{}")

    found = await scanned(world, await world.open(structured(world)))

    assert found == [Path(path).name for path in (text, only, none)]


async def test_a_file_of_a_finished_image_that_is_gone_is_written_again(world: World) -> None:
    paths = await world.pictures(3)
    run = await world.open(structured(world))
    await scanned(world, run)
    items = await received(world, run)
    await writer(world).put(items)
    await finish(world, items[:2])
    await removed(beside(paths[0]))
    await removed(beside(paths[1], ".txt"))
    fresh = replace(run, counts=await world.counts(run))

    await scanned(world, fresh)

    assert await read(beside(paths[0])) == OBJECT
    assert await read(beside(paths[1], ".txt")) == "a dog, dog"
    assert (await world.counts(run)).done == 2


async def test_what_was_wrong_is_told_with_the_next_try_and_survives_the_process(
    world: World,
) -> None:
    (path,) = await world.pictures(1)
    run = await world.enqueue(path, spec=structured(world))
    (job,) = await claimed(world, run)
    first = world.claims().request(job)
    await world.store.awrite(jobs.charge_try, job, missed=True, objection="caption is missing")

    (again,) = await claimed(world, run)
    second, third = world.claims().request(again), world.claims().request(again)

    assert first.answer_schema == second.answer_schema == SCHEMA
    assert "caption is missing" not in (first.prompt or "")
    assert "An earlier answer was refused: caption is missing." in (second.prompt or "")
    assert second == third
    assert world.claims().key(job) != world.claims().key(again)
