"""Structured answers on their way: two files for each image, each kept as any sidecar is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import Companion, Job, JobId, Received, Run, Unwritten
from captiv.core.naming import Place
from captiv.core.spec import Output, RunSpec
from captiv.core.structure import NAMED, bare, checked
from captiv.dispatch.judging import Miss, judged
from captiv.dispatch.scan import Intake
from captiv.dispatch.writer import Writer
from captiv.editing import undo
from captiv.images.prepare import Prepared
from captiv.output.sidecar import Written
from captiv.store import captions, jobs
from captiv.wire import CaptionReply
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
    await put_by_hand(beside(both), "{}")
    await wrote_object(world, only)

    found = await scanned(world, await world.open(structured(world)))

    assert found == [Path(path).name for path in (text, only, none)]
    assert world.told.kept_paths == []


async def wrote_object(world: World, path: str) -> None:
    """Have captiv itself write a text and an object; the text is gone then."""
    earlier = await world.enqueue(path, spec=structured(world, recursive=True))
    items = await received(world, earlier)
    await writer(world).put(items)
    await finish(world, items)
    await removed(beside(path, ".txt"))


@pytest.mark.parametrize("overwrite", ["no", "yes", "all"])
async def test_what_is_another_programs_or_a_persons_is_kept_before_anything_is_paid(
    world: World, overwrite: str
) -> None:
    """Of each image one file has to stay: the object of one is another program's."""
    strange, edited, text, fresh = await world.pictures(4)
    run = await world.enqueue(edited, text, spec=structured(world, recursive=True))
    items = await received(world, run)
    await writer(world).put(items)
    await finish(world, items)
    await put_by_hand(beside(strange), '{"id": 7}')
    await put_by_hand(beside(edited), '{"caption": "my dog", "tags": ["dog"]}')
    await put_by_hand(beside(text, ".txt"), "my own words")

    found = await scanned(world, await world.open(structured(world, overwrite=overwrite)))

    kept = {"no": [strange], "yes": [strange, edited, text], "all": []}[overwrite]
    skipped = [edited, text] if overwrite == "no" else []
    assert world.told.kept_paths == kept
    left = [path for path in (strange, edited, text, fresh) if path not in (*kept, *skipped)]
    assert found == [Path(path).name for path in left]


async def test_another_programs_json_that_came_meanwhile_is_kept_and_named(world: World) -> None:
    (path,) = await world.pictures(1)
    run = await world.enqueue(path, spec=structured(world))
    items = await received(world, run)
    await put_by_hand(beside(path), '{"id": 7}')

    assert await writer(world).put(items) == [Written.KEPT]
    assert await read(beside(path)) == '{"id": 7}'


async def test_a_second_write_after_a_kill_takes_no_text_of_captivs_for_a_persons(
    world: World,
) -> None:
    (path,) = await world.pictures(1)
    run = await world.enqueue(path, spec=structured(world, overwrite="all"))
    items = await received(world, run)
    await writer(world).put(items)
    await removed(beside(path, ".txt"))

    assert await writer(world).put(items) == [Written.WRITTEN]
    for file in (".txt", ".json"):
        history = await world.store.aread(captions.history, Place(path, beside(path, file)))
        assert [each.source for each in history] == ["model"], file


async def test_what_a_person_wrote_since_is_never_replaced_by_what_is_restored(
    world: World,
) -> None:
    (path,) = await world.pictures(1)
    run = await world.open(structured(world, overwrite="all"))
    await scanned(world, run)
    items = await received(world, run)
    await writer(world).put(items)
    await finish(world, items)
    await put_by_hand(beside(path, ".txt"), "my own words")
    await removed(beside(path))

    await scanned(world, replace(run, counts=await world.counts(run)))

    assert await read(beside(path)) == OBJECT
    assert await read(beside(path, ".txt")) == "my own words"


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

    assert first.answer_schema == second.answer_schema == bare(SCHEMA)
    assert "caption is missing" not in (first.prompt or "")
    assert "An earlier answer was refused: caption is missing." in (second.prompt or "")
    assert second == third
    assert world.claims().key(job) != world.claims().key(again)


async def test_what_an_answer_does_to_the_check_costs_a_try_and_no_run(world: World) -> None:
    """Schema and answer are somebody's; no float is as wide as this picture."""
    spec = structured(world)
    objects = checked(json.dumps(NAMED["objects"]), "objects").text
    captioning = spec.captioning.model_copy(update={"answer_schema": objects})
    answer = {"caption": "a dog", "objects": [{"label": "dog", "box": [0.5, 0, 9, 9]}]}
    reply = CaptionReply(
        caption=json.dumps(answer), model="joy", variant="joy", key="k", boot_id="b"
    )
    prepared = Prepared(b"", "image/png", 9, 9, (10**400, 9))

    found = await judged(
        reply, spec.model_copy(update={"captioning": captioning}), prepared, "/p/a.png"
    )

    assert isinstance(found, Miss)
    assert found.objection == "it can't be checked against the schema"


async def test_neither_file_of_an_image_is_in_work_for_two_jobs_at_a_time(world: World) -> None:
    """Another run writes texts into `.json` files."""
    (path,) = await world.pictures(1)
    one = await world.enqueue(path, spec=structured(world))
    two = await world.enqueue(path, spec=world.spec(output=Output(extension=".json")))
    (object_,), (text,) = await claimed(world, one), await claimed(world, two)
    completer = world.completer()

    assert completer.begin(object_)
    assert not completer.begin(text)
    completer.released(object_)
    assert completer.begin(text)
    assert not completer.begin(object_)
