"""Captions that are added to what their sidecars hold: once, in its encoding, over nothing else."""

import codecs
from dataclasses import replace

import anyio
import pytest
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.adding import Where
from captiv.core.jobs import Job, JobId, JobState, Received, Run, Unwritten
from captiv.core.spec import RunSpec
from captiv.core.texts import content_of
from captiv.dispatch.scan import chunks, settle
from captiv.editing import past, undo
from captiv.editing import put as edit
from captiv.errors import SidecarError
from captiv.output.sidecar import Written
from captiv.store import captions, jobs
from tests.dispatch.test_writer import beside, claimed, writer
from tests.world import World, read


def adding(world: World, add: Where = "after") -> RunSpec:
    return world.spec(add=add)


async def received(world: World, run: Run, text: str = "a dog") -> tuple[Job, Unwritten]:
    """Have a caption of the run's picture in the store; return its job, and its text to write."""
    (job,) = await claimed(world, run)
    answer = Received(job, text, None, "shapes", "shapes", "{}", None, 3, run.spec.adds())
    (item,) = await world.store.awrite(jobs.receive, [answer], now_ms())
    return job, item


async def put(world: World, item: Unwritten) -> Written | SidecarError:
    written = writer(world)
    (result,) = await written.put(await written.begin([item]))
    return result


async def again(world: World, run: Run) -> Unwritten:
    """Return what the next start finds in the store, after a kill."""
    (item,) = await world.store.aread(jobs.unwritten, run.id, JobId(0), 10)
    return item


async def wanted(world: World, run: Run) -> tuple[list[str], list[str], list[str]]:
    """Return which images a new run of this request would caption, skip and refuse."""
    found = await to_thread.run_sync(lambda: list(chunks(run.spec)))
    for chunk in found:
        assert await world.store.aread(settle, chunk, run.spec) == []
    return (
        [p.image for chunk in found for p in chunk.wanted],
        [p.image for chunk in found for p in chunk.skipped],
        [p.image for chunk in found for p, _, _ in chunk.refused],
    )


@pytest.mark.parametrize(
    ("add", "text"), [("after", "1girl, a dog\n"), ("before", "a dog, 1girl\n")]
)
async def test_a_caption_is_added_on_the_side_that_was_asked_for(
    world: World, add: Where, text: str
) -> None:
    path = await world.picture("a.png")
    await anyio.Path(beside(path)).write_text("1girl\n")
    run = await world.enqueue(path, spec=adding(world, add))
    job, item = await received(world, run)

    assert await put(world, item) is Written.WRITTEN
    assert await read(beside(path)) == text
    texts = [(c.text, c.source) for c in await world.store.aread(captions.history, job.place)]
    assert texts == [("1girl\n", "import"), ("a dog", "model"), (text, "model")]


async def test_an_image_without_a_sidecar_gets_the_caption_alone(world: World) -> None:
    path = await world.picture("a.png")
    run = await world.enqueue(path, spec=adding(world))
    job, item = await received(world, run)

    assert await put(world, item) is Written.WRITTEN
    assert await read(beside(path)) == "a dog"
    assert [c.text for c in await world.store.aread(captions.history, job.place)] == ["a dog"]


@pytest.mark.parametrize("there", ["1girl", None])
async def test_a_second_write_finds_its_own_text_and_does_nothing(
    world: World, there: str | None
) -> None:
    path = await world.picture("a.png")
    if there is not None:
        await anyio.Path(beside(path)).write_text(there)
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run)
    await put(world, item)
    before = await anyio.Path(beside(path)).stat()

    assert await put(world, await again(world, run)) is Written.SAME

    after = await anyio.Path(beside(path)).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert await read(beside(path)) == ("a dog" if there is None else "1girl, a dog")


async def test_what_was_begun_and_not_written_is_written_by_the_next_start(world: World) -> None:
    path = await world.picture("a.png")
    await anyio.Path(beside(path)).write_text("1girl")
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run)
    await writer(world).begin([item])

    assert await put(world, await again(world, run)) is Written.WRITTEN
    assert await read(beside(path)) == "1girl, a dog"


@pytest.mark.parametrize("there", ["1girl", None])
async def test_a_text_that_somebody_wrote_meanwhile_stays(world: World, there: str | None) -> None:
    path = await world.picture("a.png")
    if there is not None:
        await anyio.Path(beside(path)).write_text(there)
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run)
    await put(world, item)
    await anyio.Path(beside(path)).write_text("1girl, a brown dog")

    assert await put(world, await again(world, run)) is Written.KEPT
    assert await read(beside(path)) == "1girl, a brown dog"


async def test_a_caption_that_is_the_whole_text_already_is_not_added_to_itself(
    world: World,
) -> None:
    path = await world.picture("a.png")
    await anyio.Path(beside(path)).write_text("a dog\n")
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run)

    assert await put(world, item) is Written.SAME
    assert await read(beside(path)) == "a dog\n"


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + b"ein Hund \xc3\xbcber\r\n",
        codecs.BOM_UTF16_LE + "ein Hund \xfcber\r\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "ein Hund \xfcber\r\n".encode("utf-16-be"),
        b"ein Hund \xfcber\r\n",
    ],
    ids=["utf-8 with a mark", "utf-16-le", "utf-16-be", "cp1252"],
)
async def test_the_encoding_stays_and_undo_brings_the_bytes_back(world: World, data: bytes) -> None:
    path = await world.picture("a.png")
    await anyio.Path(beside(path)).write_bytes(data)
    run = await world.enqueue(path, spec=adding(world))
    job, item = await received(world, run)
    encoding = content_of(data).encoding

    assert await put(world, item) is Written.WRITTEN

    now = content_of(await anyio.Path(beside(path)).read_bytes())
    assert (now.text, now.encoding) == ("ein Hund \xfcber, a dog\r\n", encoding)
    assert (await to_thread.run_sync(past, world.store, job.place)).earlier == content_of(data).text
    await to_thread.run_sync(undo, world.store, job.place)
    assert await anyio.Path(beside(path)).read_bytes() == data


async def test_a_text_whose_encoding_lacks_a_character_stays_and_the_caption_waits(
    world: World,
) -> None:
    path = await world.picture("a.png")
    await anyio.Path(beside(path)).write_bytes(b"ein Hund \xfcber")
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run, "\N{DOG}")

    refused = await put(world, item)

    assert isinstance(refused, SidecarError)
    assert "its encoding (cp1252) lacks a character" in refused.message
    assert await anyio.Path(beside(path)).read_bytes() == b"ein Hund \xfcber"
    await anyio.Path(beside(path)).write_text("ein Hund \xfcber", "utf-8")
    assert await put(world, await again(world, run)) is Written.WRITTEN
    assert await read(beside(path)) == "ein Hund \xfcber, \N{DOG}"


async def test_broken_text_is_refused_by_the_scan_and_by_the_writer(world: World) -> None:
    path, broken = await world.picture("a.png"), codecs.BOM_UTF16_LE + b"\x00\xd8a"
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run)
    await anyio.Path(beside(path)).write_bytes(broken)

    assert await wanted(world, run) == ([], [], [path])
    refused = await put(world, item)

    assert isinstance(refused, SidecarError)
    assert "broken UTF-16" in refused.message
    assert await anyio.Path(beside(path)).read_bytes() == broken


async def test_a_text_of_a_person_stays_a_persons_with_a_caption_added(world: World) -> None:
    """Or `--overwrite` would replace the person's words."""
    path = await world.picture("a.png")
    first = await world.enqueue(path)
    job, item = await received(world, first, "a cat")
    await put(world, item)
    await world.store.awrite(jobs.finish, [(job.id, job.attempt)], now_ms())
    await anyio.Path(beside(path)).write_text("my cat")
    run = await world.enqueue(path, spec=adding(world))
    job, item = await received(world, run)

    await put(world, item)

    over = run.spec.model_copy(update={"selection": world.spec(overwrite="yes").selection})
    (chunk,) = await to_thread.run_sync(lambda: list(chunks(over)))
    assert await world.store.aread(settle, chunk, over) == [job.place]
    texts = [(c.text, c.source) for c in await world.store.aread(captions.history, job.place)]
    assert texts[-1] == ("my cat, a dog", "hand")


async def test_a_new_run_adds_nothing_where_the_same_was_added_before(world: World) -> None:
    path, bare = await world.picture("a.png"), await world.picture("b.png")
    await anyio.Path(beside(path)).write_text("1girl")
    run = await world.enqueue(path, spec=adding(world))
    assert await wanted(world, run) == ([path, bare], [], [])
    job, item = await received(world, run)
    await put(world, item)

    assert await wanted(world, run) == ([bare], [path], [])
    await anyio.Path(beside(path)).write_text("1girl, a brown dog")
    assert await wanted(world, run) == ([bare], [path], []), "edited since"
    other = replace(run, spec=adding(world, "before"))
    assert await wanted(world, other) == ([path, bare], [], []), "another request"

    await anyio.Path(beside(path)).write_text("1girl")
    assert await wanted(world, run) == ([path, bare], [], []), "as it was before, by another tool"
    await anyio.Path(beside(path)).write_text("1girl, a dog")
    await to_thread.run_sync(undo, world.store, job.place)
    assert await read(beside(path)) == "1girl"
    assert await wanted(world, run) == ([path, bare], [], []), "taken back"


async def test_undo_never_brings_the_answer_alone_which_did_not_stand_there(world: World) -> None:
    """Where another program brought back a text that had stood there long before."""
    path = await world.picture("a.png")
    place = world.spec().output.place_of(path)
    for text in ("one", "two", "three"):
        await to_thread.run_sync(edit, world.store, place, text)
    await anyio.Path(beside(path)).write_text("one")
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run)
    await put(world, item)

    brought = [await to_thread.run_sync(undo, world.store, place) for _ in range(4)]

    assert brought == ["one", "three", "two", "one"]


async def test_a_captioned_job_that_waits_is_written_once_its_folder_allows(world: World) -> None:
    path = await world.picture("a.png")
    run = await world.enqueue(path, spec=adding(world))
    _, item = await received(world, run)
    await to_thread.run_sync(beside(path).mkdir)
    assert isinstance(await put(world, item), SidecarError)
    await to_thread.run_sync(beside(path).rmdir)
    await anyio.Path(beside(path)).write_text("1girl")

    assert await put(world, await again(world, run)) is Written.WRITTEN

    assert await read(beside(path)) == "1girl, a dog"
    assert (await world.rows(run))["a.png"].state is JobState.CAPTIONED
