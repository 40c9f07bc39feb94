"""From accepted work to its end: batches, culprits, memory, permits, a lost device."""

import io
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
from PIL import Image

from captiv.testing.engine import scripted_caption

from .conftest import Hold, Serve, Served, picture, until

COLOURS = ("red", "blue", "yellow", "black", "white", "cyan")


def caption_of(image: bytes) -> str:
    return scripted_caption(Image.open(io.BytesIO(image)))


class Crowd:
    """Many clients at once."""

    def __init__(self, served: Served, pool: ThreadPoolExecutor) -> None:
        self.served = served
        self.pool = pool
        self.sent: list[Future[httpx2.Response]] = []

    def send(self, image: bytes, **given: object) -> None:
        self.sent.append(self.pool.submit(self.served.caption, image, **given))  # type: ignore[arg-type]

    def answers(self) -> list[httpx2.Response]:
        return [future.result() for future in self.sent]


@contextmanager
def crowd(served: Served, hold: Hold) -> Iterator[Crowd]:
    """Hold the device with one image, so that what comes after it waits together."""
    with ThreadPoolExecutor(32) as pool:
        first = pool.submit(served.caption, picture((1, 2, 3)))
        hold.wait()
        yield Crowd(served, pool)
        assert first.result().status_code == 200


@pytest.mark.slow
def test_what_waits_together_is_captioned_together_as_if_alone(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script, max_batch=8)
    images = [picture(colour) for colour in COLOURS]

    with crowd(served, hold) as many:
        for image in images:
            many.send(image)
        until(lambda: served.worker.pipeline.waiting() == len(images))
        hold.release()
        answers = many.answers()

    assert [a.json()["batch"] for a in answers] == [6] * 6
    assert [a.json()["caption"] for a in answers] == [caption_of(image) for image in images]


@pytest.mark.slow
def test_other_askings_are_captioned_apart(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script, max_batch=8)

    with crowd(served, hold) as many:
        for number, colour in enumerate(COLOURS):
            many.send(picture(colour), prompt="odd" if number % 2 else "even")
        until(lambda: served.worker.pipeline.waiting() == 6)
        hold.release()
        answers = many.answers()

    assert [a.json()["batch"] for a in answers] == [3] * 6


def test_no_batch_is_larger_than_allowed(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script, max_batch=4, permits=12)

    with crowd(served, hold) as many:
        for colour in COLOURS:
            many.send(picture(colour))
        until(lambda: served.worker.pipeline.waiting() == 6)
        hold.release()
        answers = many.answers()

    assert sorted(a.json()["batch"] for a in answers) == [2, 2, 4, 4, 4, 4]


def test_a_poisonous_image_fails_alone(serve: Serve, hold: Hold) -> None:
    served = serve(script={**hold.script, "raise_on": ["yellow"]}, max_batch=8)

    with crowd(served, hold) as many:
        for colour in COLOURS:
            many.send(picture(colour))
        until(lambda: served.worker.pipeline.waiting() == 6)
        hold.release()
        answers = many.answers()

    by_colour = dict(zip(COLOURS, answers, strict=True))
    poisonous = by_colour.pop("yellow")
    assert {a.status_code for a in by_colour.values()} == {200}
    assert poisonous.status_code == 500
    assert poisonous.json()["code"] == "engine_failed"
    assert poisonous.json()["suspect"] is True
    assert served.caption(picture("red")).status_code == 200


def test_an_unreadable_image_never_reaches_a_batch(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script, max_batch=8)

    with crowd(served, hold) as many:
        many.send(picture("red"))
        many.send(b"no image")
        until(lambda: served.worker.pipeline.waiting() == 1)
        hold.release()
        good, bad = many.answers()

    assert good.json()["batch"] == 1
    assert bad.json()["code"] == "image_unreadable"


@pytest.mark.slow
def test_a_broken_engine_is_to_blame_for_every_image(serve: Serve) -> None:
    served = serve(script={"broken": True})

    answer = served.caption(picture())

    assert answer.status_code == 500
    assert answer.json()["code"] == "engine_failed"
    assert answer.json()["suspect"] is False
    assert served.client.get("/health").status_code == 200


def test_out_of_memory_costs_no_image_and_is_remembered(
    serve: Serve, hold: Hold, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(script={**hold.script, "oom_above": 2}, max_batch=6)

    with crowd(served, hold) as many:
        for _round in range(2):
            for colour in COLOURS:
                many.send(picture(colour))
        until(lambda: served.worker.pipeline.waiting() == 12)
        hold.release()
        answers = many.answers()

    assert {a.status_code for a in answers} == {200}
    assert max(a.json()["batch"] for a in answers) <= 2
    out_of_memory = [r for r in caplog.records if r.getMessage().startswith("out_of_memory")]
    assert [r.getMessage() for r in out_of_memory] == [
        "out_of_memory batch=6",
        "out_of_memory batch=3",
        "out_of_memory batch=3",
    ]


def test_without_a_permit_a_client_is_told_to_come_back(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script, permits=2)

    with crowd(served, hold) as many:
        many.send(picture("red"))
        until(lambda: served.worker.permits.taken == 2)
        refused = served.caption(picture("blue"))
        hold.release()
        many.answers()

    assert refused.status_code == 429
    assert refused.json()["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1
    assert served.caption(picture("blue")).status_code == 200


@pytest.mark.slow
def test_a_storm_of_good_and_bad_requests_leaves_every_permit_free(serve: Serve) -> None:
    served = serve(script={"raise_on": ["red"], "fail_on": ["blue"]}, permits=64)
    bodies = [picture("red"), picture("blue"), picture("white"), b"no image", picture("black")]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(served.caption, bodies * 20))

    assert [a.status_code for a in answers] == [500, 500, 200, 422, 200] * 20
    until(lambda: served.worker.permits.taken == 0)


def test_when_the_device_dies_nobody_waits_for_ever_and_the_process_is_ended(
    serve: Serve, hold: Hold
) -> None:
    served = serve(script={**hold.script, "die_on": ["red"]}, max_batch=1)

    with crowd(served, hold) as many:
        many.send(picture("red"))
        until(lambda: served.worker.pipeline.waiting() == 1)
        many.send(picture("blue"))
        until(lambda: served.worker.pipeline.waiting() == 2)
        hold.release()
        answers = many.answers()

    assert {a.json()["code"] for a in answers} == {"engine_failed"}
    assert served.deaths == [True]
    assert served.client.get("/health").json()["status"] == "failed"
    assert served.caption(picture("blue")).status_code == 503
