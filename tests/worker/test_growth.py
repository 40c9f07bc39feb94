"""Batches that grow while they go well, on a worker whose memory is simulated."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from captiv.testing.engine import ScriptedEngine

from .conftest import Serve, Served, picture, until

pytestmark = pytest.mark.slow

SMALL, LARGE = (16, 16), (64, 64)
"""Pictures that take 1 and 16 tokens of the simulated memory."""
CLIENTS = 100
"""As many as connections that a client of httpx2 opens at most."""


class Awaiting(ScriptedEngine):
    """Ends no batch before as many images as may come have come."""

    crowds: ClassVar[list[Callable[[], bool]]] = []
    """Tell whether all have come."""

    def _take_time(self, count: int) -> None:
        until(lambda: all(come() for come in self.crowds))


def simulated(serve: Serve, memory_tokens: int, **more: Any) -> Served:
    script = {"simulated_memory_tokens": memory_tokens, "largest_batch": 64}
    return serve(engine=f"{__name__}:{Awaiting.__name__}", script=script, **more)


def batches(served: Served, sizes: Iterable[tuple[int, int]]) -> list[int]:
    """Caption a picture of each size, as many at once as the worker allows; return the batches."""
    sizes, one_by_one = list(sizes), threading.Lock()
    unanswered = len(sizes)

    def crowded() -> bool:
        permits = served.worker.permits
        return permits.taken >= min(permits.total, CLIENTS, unanswered)

    def caption(size: tuple[int, int]) -> int:
        nonlocal unanswered
        while (answer := served.caption(picture("red", size))).status_code == 429:
            time.sleep(0.02)
        with one_by_one:
            unanswered -= 1
        assert answer.status_code == 200, answer.text
        return int(answer.json()["batch"])

    Awaiting.crowds[:] = [crowded]
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(caption, sizes))


def settled(served: Served) -> int:
    """Caption pictures until batches grow no more; return how large they are."""
    for _round in range(20):
        before = served.worker.status.health.max_batch
        ran = batches(served, [SMALL] * 160)
        if max(ran) == before == served.worker.status.health.max_batch:
            return before
    raise AssertionError("batches never settled")


def out_of_memory(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records]
    return [line for line in said if line.startswith("out_of_memory")]


def test_batches_grow_to_what_the_memory_holds_and_what_ran_out_is_not_tried_again(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = simulated(serve, 40)
    opened = served.worker.status.health.max_batch

    settled(served)
    found = settled(served)

    health = served.worker.status.health
    assert opened == 8
    assert 32 <= found <= 40
    assert health.max_batch == found
    assert served.worker.permits.total == health.permits == 3 * health.max_batch
    failed = out_of_memory(caplog)
    assert 1 <= len(failed) == len(set(failed)) <= 4


def test_images_of_more_tokens_find_a_size_of_their_own(serve: Serve) -> None:
    served = simulated(serve, 64)

    ran = batches(served, [SMALL, LARGE] * 200)

    assert max(ran[::2]) > 8
    assert max(ran[1::2]) == 4
    assert max(batches(served, [LARGE] * 20)) == 4


def test_what_was_found_is_remembered_when_the_model_comes_back(serve: Serve) -> None:
    served = simulated(serve, 40, variant="blip-base")
    found = settled(served)

    sizes = []
    for variant in ("blip-large", "blip-base"):
        until(lambda: served.worker.permits.taken == 0)
        changed = served.client.put("/api/model", json={"model": "blip", "variant": variant})
        assert changed.status_code == 202, changed.text
        until(lambda: served.worker.status.health.status == "ready")
        sizes.append(served.worker.status.health.max_batch)

    assert found > 8
    assert sizes == [8, found]


def test_each_answer_tells_how_much_the_worker_takes_now(serve: Serve) -> None:
    served = simulated(serve, 40)
    settled(served)

    reply = served.caption(picture("red", SMALL)).json()

    assert reply["max_batch"] == served.worker.status.health.max_batch >= 32
    assert reply["permits"] == 3 * reply["max_batch"]


def test_a_batch_size_that_was_asked_for_stays(serve: Serve) -> None:
    served = simulated(serve, 40, max_batch=4)

    assert max(batches(served, [SMALL] * 100)) == 4
    assert served.worker.status.health.max_batch == 4
