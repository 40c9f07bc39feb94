"""What holds of an engine of either form, in the same words: static batches, and continuous.

The static one is the torch-free engine, the continuous one vLLM's over a server that stands for it.
All goes through the worker's own door, except what only a continuous engine has.
"""

import json
import logging
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import anyio
import httpx2
import pytest
from captiv_worker.engines import Answer, EngineItem
from captiv_worker.engines.vllm import VllmEngine
from captiv_worker.loader import spec_of
from PIL import Image

from captiv.offload import offload
from captiv.wire import Generation

from .checkpoints import PathOf, named
from .conftest import AUTH, DEADLINE_S, Child, Hold, Serve, Served, Spawn, hold, picture, until
from .test_conformance import choice_of
from .vllm import Standin, standin

__all__ = ["hold", "standin"]

CAPACITY = 4
OTHERS = [picture(colour) for colour in ("red", "blue", "black", "white", "cyan", "green", "pink")]
BAD = picture("yellow")


class Form(Protocol):
    """One form of engine, scripted."""

    def serve(self, capacity: int = CAPACITY, **script: Any) -> Served:
        """Return a worker that is ready; the keywords are of the scripts of both."""

    def spawn(self, batch_file: Path, capacity: int = CAPACITY, **script: Any) -> Child:
        """Return the same as a process of its own."""

    def dies_on(self, colour: str) -> dict[str, Any]:
        """Return the script by which a picture of this colour takes the engine along."""

    def breaks_on(self, colour: str) -> dict[str, Any]:
        """Return the script by which a picture of this colour alone fails."""

    def most_inside(self, served: Served, answers: list[dict[str, Any]]) -> int:
        """Return how many images were inside at once, at most."""

    def slow(self) -> dict[str, Any]:
        """Return the script by which an engine takes much longer than captiv does."""

    def occupancy(self, answers: list[dict[str, Any]], capacity: int) -> float:
        """Return the mean of what was inside over the capacity, while there was enough to do.

        That is from the first answer to the last but as many as it takes at once.
        """


class Static:
    """The torch-free engine, whose batches break as a whole."""

    def __init__(self, serve: Serve, spawn: Spawn) -> None:
        self._serve = serve
        self._spawn = spawn

    def serve(self, capacity: int = CAPACITY, **script: Any) -> Served:
        return self._serve(script={"per_image_s": 0.002} | script, max_batch=capacity)

    def spawn(self, batch_file: Path, capacity: int = CAPACITY, **script: Any) -> Child:
        arguments = ("--max-batch", str(capacity), "--batch-file", str(batch_file))
        return self._spawn(*arguments, script=script).ready()

    def dies_on(self, colour: str) -> dict[str, Any]:
        return {"exit_on": [colour]}

    def breaks_on(self, colour: str) -> dict[str, Any]:
        return {"raise_on": [colour]}

    def most_inside(self, served: Served, answers: list[dict[str, Any]]) -> int:
        return max(int(answer["batch"]) for answer in answers)

    def slow(self) -> dict[str, Any]:
        return {"batch_s": 0.25, "per_image_s": 0.0}

    def occupancy(self, answers: list[dict[str, Any]], capacity: int) -> float:
        first = int(answers[0]["batch"])  # whatever had come when the device was free
        counted = answers[first:-capacity]
        batches = sum(1 / int(answer["batch"]) for answer in counted)
        return len(counted) / batches / capacity


class Continuous:
    """vLLM's engine with a tiny JoyCaption."""

    def __init__(self, serve: Serve, spawn: Spawn, standin: Standin, path: Path, trace: Path):
        self._serve = serve
        self._spawn = spawn
        self._standin = standin
        self._path = path
        self._trace = trace

    def serve(self, capacity: int = CAPACITY, **script: Any) -> Served:
        self._standin(trace=str(self._trace), **script)
        return self._serve(engine="vllm", model=str(self._path), max_batch=capacity)

    def spawn(self, batch_file: Path, capacity: int = CAPACITY, **script: Any) -> Child:
        self._standin(**script)
        arguments = ("--engine", "vllm", "--model", str(self._path), "--max-batch", str(capacity))
        return self._spawn(*arguments, "--batch-file", str(batch_file), engine=False).ready()

    def dies_on(self, colour: str) -> dict[str, Any]:
        return {"die_on": [colour]}

    def breaks_on(self, colour: str) -> dict[str, Any]:
        return {"fail_on": [colour]}

    def most_inside(self, served: Served, answers: list[dict[str, Any]]) -> int:
        inside = most = 0
        for _, change in self._events():
            inside += change
            most = max(most, inside)
        return most

    def slow(self) -> dict[str, Any]:
        return {"steps": 60, "step_s": 0.04}

    def occupancy(self, answers: list[dict[str, Any]], capacity: int) -> float:
        events = self._events()
        answered = [time_s for time_s, change in events if change < 0]
        first_s, last_s = answered[0], answered[-capacity]
        inside, area = 0, 0.0
        for (time_s, change), (next_s, _) in pairwise(events):
            inside += change
            area += inside * max(0.0, min(next_s, last_s) - max(time_s, first_s))
        return area / (last_s - first_s) / capacity

    def _events(self) -> list[tuple[float, int]]:
        """Return when requests came and ended at the server, after the warming's two lines."""
        lines = [line.split() for line in self._trace.read_text().splitlines()[2:]]
        return [(float(time_s), 1 if sign == "+" else -1) for sign, time_s in lines]


@pytest.fixture(params=["static", "continuous"])
def form(
    request: pytest.FixtureRequest,
    serve: Serve,
    spawn: Spawn,
    standin: Standin,
    checkpoint_path: PathOf,
    tmp_path: Path,
) -> Form:
    if request.param == "static":
        return Static(serve, spawn)
    path = checkpoint_path(named("joycaption-beta-one"))
    return Continuous(serve, spawn, standin, path, tmp_path / "trace")


@contextmanager
def held_back(hold: Hold) -> Iterator[None]:
    """Let no image be answered meanwhile. The fixture's own hold is for before the load."""
    hold.again()
    try:
        yield
    finally:
        hold.release()


def together(served: Served, images: list[bytes]) -> list[httpx2.Response]:
    with ThreadPoolExecutor(len(images)) as pool:
        return list(pool.map(served.caption, images))


def texts(answers: list[httpx2.Response]) -> list[str]:
    return [answer.json()["caption"] for answer in answers]


def test_an_image_gets_the_same_whatever_is_in_flight(form: Form) -> None:
    served = form.serve()
    alone = texts([served.caption(image) for image in OTHERS])
    order = [n for n in range(len(OTHERS)) for _ in range(3)][: served.worker.permits.total]
    random.Random(3).shuffle(order)

    amid = texts(together(served, [OTHERS[n] for n in order]))

    assert len(set(alone)) == len(OTHERS)
    assert amid == [alone[n] for n in order]


def test_an_image_that_fails_leaves_the_others(form: Form) -> None:
    served = form.serve(**form.breaks_on("yellow"))
    alone = texts([served.caption(image) for image in OTHERS[:3]])

    answers = together(served, [OTHERS[0], BAD, OTHERS[1], b"no image", OTHERS[2]])

    assert [a.status_code for a in answers] == [200, 500, 200, 422, 200]
    assert texts([answers[n] for n in (0, 2, 4)]) == alone
    assert answers[1].json()["code"] == "engine_failed"
    until(lambda: served.worker.permits.taken == 0)


def test_no_more_is_inside_than_it_takes_and_no_more_is_held_than_it_permits(
    form: Form, hold: Hold
) -> None:
    hold.release()
    served = form.serve(hold=str(hold.held))
    permits = served.worker.permits.total
    with held_back(hold):
        sent = [
            served.caption(OTHERS[n % len(OTHERS)], key=f"k{n}", wait=0) for n in range(permits + 3)
        ]
        assert served.worker.permits.taken == permits

    answers = [served.again(f"k{n}").json() for n in range(permits)]

    assert [a.status_code for a in sent] == [202] * permits + [429] * 3
    assert form.most_inside(served, answers) == CAPACITY
    assert all("caption" in answer for answer in answers), answers
    until(lambda: served.worker.permits.taken == 0)


def test_each_image_has_exactly_one_outcome(form: Form, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = form.serve(**form.breaks_on("yellow"))
    sent = {"a": OTHERS[0], "b": OTHERS[1], "bad": BAD, "none": b"no image", "c": OTHERS[2]}

    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(served.caption, sent[key], key=key) for key in [*sent, "a", "b"]]
        answers = [each.result() for each in asked]

    ended = Counter(re.findall(r"(?:caption|failed|refused) key=(\S+)", caplog.text))
    assert ended == dict.fromkeys(sent, 1)
    assert [a.status_code for a in answers] == [200, 200, 500, 422, 200, 200, 200]
    assert answers[5].json() == answers[0].json()
    assert [served.again(key).content for key in sent] == [a.content for a in answers[:5]]


def test_a_client_that_leaves_loses_nothing_and_its_place_is_free_again(
    form: Form, hold: Hold
) -> None:
    hold.release()
    served = form.serve(hold=str(hold.held))
    with held_back(hold):
        for number in range(served.worker.permits.total):
            send_and_leave(served, OTHERS[number % len(OTHERS)], f"k{number}")
        assert served.worker.permits.taken == served.worker.permits.total

    until(lambda: served.worker.permits.taken == 0)

    assert served.again("k0").status_code == 200
    assert served.caption(OTHERS[3]).status_code == 200


def test_all_that_is_inside_when_it_dies_is_suspect_and_it_comes_back(
    form: Form, hold: Hold, tmp_path: Path
) -> None:
    hold.release()
    batch_file = tmp_path / "batch"
    script = {"hold": str(hold.held), **form.dies_on("yellow")}
    first = form.spawn(batch_file, **script)
    with held_back(hold), suppress(httpx2.HTTPError):
        leave_there(first, "first", OTHERS[3])
        until(lambda: names(batch_file) == ["first"])
        for key, image in {"a": OTHERS[0], "b": OTHERS[1], "bad": BAD}.items():
            leave_there(first, key, image)
        first.client.post("/api/caption", content=b"no image", headers=PNG)  # they are decoded now
    assert first.process.wait(DEADLINE_S) != 0
    inside = names(batch_file)

    second = form.spawn(batch_file, **script)

    assert {"a", "b", "bad"} <= set(inside) <= {"first", "a", "b", "bad"}
    found = {key: result(second, key) for key in (*inside, "elsewhere")}
    assert found == {**dict.fromkeys(inside, True), "elsewhere": False}
    assert second.client.post("/api/caption", content=OTHERS[2], headers=PNG).status_code == 200


@pytest.mark.slow
def test_it_is_kept_full(form: Form) -> None:
    """At least 95 % of the room is in use; of the continuous one's answers one in 50 runs long."""
    capacity, images = 8, 72
    served = form.serve(capacity, **form.slow())
    sent = [picture((n, 3 * n % 256, 255 - n), (64, 48)) for n in range(images)]
    answers: list[dict[str, Any]] = []

    def ask(image: bytes) -> None:
        answers.append(served.caption(image).json())

    with ThreadPoolExecutor(served.worker.permits.total) as pool:
        list(pool.map(ask, sent))

    assert all("caption" in answer for answer in answers), answers
    assert form.occupancy(answers, capacity) >= 0.95
    assert max(answer["batch"] for answer in answers) == capacity


@pytest.mark.anyio
@pytest.mark.allow_blocking
async def test_an_image_that_is_given_up_leaves_its_room_in_the_server(
    standin: Standin, checkpoint_path: PathOf, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    standin(hang_on=["red"], trace=str(trace))
    path = checkpoint_path(named("joycaption-beta-one"))
    engine = VllmEngine(replace(spec_of(choice_of(path), path), max_batch=1))
    with anyio.fail_after(DEADLINE_S):
        try:
            await offload(engine.load, lambda _phase: None)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(engine.caption, item("red"))
                while not trace.exists():
                    await anyio.sleep(0.005)
                tasks.cancel_scope.cancel()

            outcome = await engine.caption(item("blue"))
        finally:
            await offload(engine.close)

    assert isinstance(outcome, Answer), outcome


def item(colour: str) -> EngineItem:
    return EngineItem(Image.new("RGB", (24, 24), colour), "What?", Generation(max_new_tokens=50))


PNG = {"Content-Type": "image/png"}


def leave_there(child: Child, key: str, image: bytes) -> None:
    headers = {**PNG, "Idempotency-Key": key, "Prefer": "wait=0"}
    child.client.post("/api/caption", content=image, headers=headers)


def result(child: Child, key: str) -> bool:
    return bool(child.client.get(f"/api/caption/{key}").json()["suspect"])


def names(batch_file: Path) -> list[str]:
    try:
        return sorted(json.loads(batch_file.read_text()))
    except FileNotFoundError:
        return []


def send_and_leave(served: Served, image: bytes, key: str) -> None:
    """Send a whole request, and close the connection as soon as a permit is taken for it."""
    taken = served.worker.permits.taken
    headers = {**AUTH, **PNG, "Idempotency-Key": key, "Content-Length": str(len(image))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as line:
        line.sendall(f"POST /api/caption HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + image)
        until(lambda: served.worker.permits.taken > taken)
