"""A proxy that mixes up answers: no caption goes to another image, and none is computed twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from PIL import Image

from captiv.errors import NoWorker, leading
from captiv.testing.engine import picture_id
from captiv.workers import UrlWorker
from tests.dispatch.mixing import Mixing, mixing
from tests.world import World, read


@asynccontextmanager
async def behind(proxy: Mixing, world: World) -> AsyncIterator[UrlWorker]:
    """Have a real worker behind a proxy."""
    worker = world.local(batch_s=0.02)
    address = await worker.start(lambda _phase: None)
    proxy.to = address.url
    serving = mixing(proxy)
    try:
        yield UrlWorker(await to_thread.run_sync(serving.__enter__), address.token)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(serving.__exit__, None, None, None)
            await worker.stop()


async def drawn(world: World, count: int) -> list[str]:
    """Draw pictures of which no two are alike."""
    return [
        await world.picture(f"p{n:03d}.png", (n * 37 % 256, n * 91 % 256, n)) for n in range(count)
    ]


async def own(path: str) -> bool:
    """Whether the caption beside a picture is its own."""
    text = await read(Path(path).with_suffix(".txt"))
    picture = await to_thread.run_sync(lambda: picture_id(Image.open(path)))
    return text is not None and picture in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "proxy",
    [Mixing("", swaps=True), Mixing("", repeats=lambda n: n % 3 == 0)],
    ids=["swaps", "repeats"],
)
async def test_no_caption_of_a_confused_proxy_goes_to_another_image(
    world: World, proxy: Mixing
) -> None:
    paths = await drawn(world, 24)
    run = await world.enqueue(*paths)

    async with behind(proxy, world) as source:
        counts = await world.serve(source, run)

    assert proxy.mixed > 0, "nothing was mixed"
    assert (counts.done, counts.failed) == (24, 0)
    assert [path for path in paths if not await own(path)] == []
    assert {row.tries for row in (await world.rows(run)).values()} == {0}
    log = await read(world.folder / "worker.log") or ""
    assert log.count(" caption key=") == 24, "an answer that was there was computed again"


@pytest.mark.slow
async def test_a_proxy_that_only_repeats_itself_is_given_up_and_nothing_is_charged(
    world: World,
) -> None:
    paths = await drawn(world, 12)
    run = await world.enqueue(*paths)

    async with behind(Mixing("", repeats=lambda _n: True), world) as source:
        with pytest.raises(BaseExceptionGroup) as caught:
            await world.serve(source, run)

    error = leading(caught.value)
    assert isinstance(error, NoWorker)
    assert "mixes up answers" in error.message
    counts = await world.counts(run)
    assert (counts.running, counts.failed) == (0, 0)
    assert counts.done + counts.pending == 12
    told = [path for path in paths if await read(Path(path).with_suffix(".txt")) is not None]
    assert len(told) == counts.done
    assert [path for path in told if not await own(path)] == []
