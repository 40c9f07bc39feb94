from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from captiv.core.spec import Output
from captiv.core.texts import content_hash
from captiv.editing import Sidecars
from captiv.gui.album import Album
from captiv.gui.entry import Entry
from captiv.gui.live import Live
from captiv.gui.scan import Reader
from captiv.gui.watch import Watch, progress
from captiv.settings import Settings
from captiv.store import Store, captions, ingest, runs
from tests.store.scene import request
from tests.support import DEADLINE_S


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await to_thread.run_sync(Store.open, tmp_path / "captiv.db")
    yield opened
    await to_thread.run_sync(opened.close)


@asynccontextmanager
async def watched(folder: Path, store: Store, least_pause_s: float) -> AsyncIterator[Watch]:
    """Watch a folder; with a long pause only the store tells of changes."""
    album = Album(str(folder))
    sidecars = Sidecars(Settings(), None, None)
    reader = await to_thread.run_sync(Reader, str(folder), sidecars, store)
    live = Live(lambda ids: [], dict)
    watch = Watch(album, reader, store, live, least_pause_s, share=0)
    async with anyio.create_task_group() as tg:
        tg.start_soon(watch.run)
        await until(lambda: album.complete)
        yield watch
        tg.cancel_scope.cancel()


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(DEADLINE_S):
        while not holds():
            await anyio.sleep(0.02)


def only(watch: Watch) -> Entry:
    (entry,) = watch.album.entries.values()
    return entry


def draw(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.png").write_bytes(b"never opened here")
    return folder / "a.txt"


async def test_a_caption_in_the_store_is_looked_for_until_its_file_comes(
    tmp_path: Path, store: Store
) -> None:
    folder = tmp_path / "pictures"
    sidecar = await to_thread.run_sync(draw, folder)
    async with watched(folder, store, 3600) as watch:
        await store.awrite(
            captions.record,
            Output().place_of(str(folder / "a.png")),
            "news",
            content_hash("news"),
            "hand",
            1,
        )
        await until(lambda: bool(watch._expected))
        assert only(watch).text is None

        await to_thread.run_sync(sidecar.write_text, "news")

        await until(lambda: only(watch).text == "news")
        assert only(watch).by == "hand"
        await until(lambda: not watch._expected)


async def test_what_comes_for_another_sidecar_of_the_image_is_not_waited_for(
    tmp_path: Path, store: Store
) -> None:
    folder = tmp_path / "pictures"
    await to_thread.run_sync(draw, folder)
    image = str(folder / "a.png")
    failed = Output(extension=".caption").place_of(image)
    async with watched(folder, store, 3600) as watch:
        run, _ = await store.awrite(runs.open_run, request(image), 1)
        await store.awrite(ingest.add_failed, run.id, [(failed, "image", "Empty.")], 1)
        await store.awrite(captions.record, failed, "news", content_hash("news"), "hand", 0)
        last = await store.aread(captions.last_id)
        await until(lambda: watch._seen == last)
        await watch._failures()
        assert not watch._expected
        assert only(watch).failure is None

        ours = Output().place_of(image)
        await store.awrite(ingest.add_failed, run.id, [(ours, "image", "Torn.")], 1)

        await until(lambda: only(watch).failure == "Torn.")


async def test_what_another_program_changes_is_found_by_reading_again(
    tmp_path: Path, store: Store
) -> None:
    folder = tmp_path / "pictures"
    sidecar = await to_thread.run_sync(draw, folder)
    async with watched(folder, store, 0.05) as watch:
        await to_thread.run_sync(sidecar.write_text, "by an editor")
        await until(lambda: only(watch).text == "by an editor")

        await to_thread.run_sync(sidecar.unlink)
        await until(lambda: only(watch).text is None)

        await to_thread.run_sync((folder / "a.png").unlink)
        await until(lambda: not watch.album.entries)


async def test_coming_back_to_a_tab_reads_at_once(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "pictures"
    sidecar = await to_thread.run_sync(draw, folder)
    async with watched(folder, store, 3600) as watch:
        await to_thread.run_sync(sidecar.write_text, "meanwhile")
        assert only(watch).text is None

        watch.live.looked.set()

        await until(lambda: only(watch).text == "meanwhile")


@pytest.mark.allow_blocking
async def test_what_lies_beside_the_pictures_is_told_by_kind(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "pictures"
    draw(folder)
    for name in ("clip.mov", "other.mp4", "a.cr2"):
        (folder / name).write_bytes(b"never opened here")

    async with watched(folder, store, least_pause_s=0.05) as watch:
        assert progress(watch.album)["unread"] == "2 videos, 1 camera raw picture"
        (folder / "clip.mov").unlink()
        await until(lambda: progress(watch.album)["unread"] == "1 camera raw picture, 1 video")
