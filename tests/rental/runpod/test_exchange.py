"""When a call is tried again, how long it may take, and what of it may be seen."""

import logging
import socket
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from captiv import errors
from captiv.rental.runpod.api import RunpodApi
from tests.rental.runpod.conftest import (
    KEY,
    Answer,
    Connect,
    Dropper,
    Odd,
    Scene,
    answer,
    gone,
    page,
    pod,
    problem,
    wanted,
)
from tests.serving import serving

Make = Callable[..., Scene]
BOTH = '"minute";r=0;t=12, "hour";r=0;t=50, "day";r=49500;t=45012'  # as RunPod's contract shows it


@pytest.mark.parametrize(
    "failure",
    [problem(500), problem(503), page(502), page(524), httpx2.ReadError("lost")],
    ids=["500", "503", "502 of a proxy", "524 of a proxy", "lost"],
)
async def test_a_get_is_tried_again(scene: Make, failure: Answer) -> None:
    told = scene(failure, answer({"pods": [pod()]}))

    assert len(await told.api.pods()) == 1
    assert told.slept == [0.5]


@pytest.mark.parametrize("failure", [problem(503), httpx2.ReadError("lost")])
async def test_a_get_is_given_up_after_its_tries_with_growing_pauses(
    scene: Make, failure: Answer
) -> None:
    told = scene(failure, failure, failure, failure)

    with pytest.raises(errors.ProviderUnreachable):
        await told.api.pods()

    assert told.slept == [0.5, 1, 2]


async def test_a_lost_delete_is_sent_again_and_a_404_is_then_success(scene: Make) -> None:
    told = scene(httpx2.ReadTimeout("late"), problem(404))

    await told.api.terminate("abc123")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
async def test_what_would_fail_again_is_not_tried_again(scene: Make, status: int) -> None:
    told = scene(problem(status))

    with pytest.raises(errors.ProviderError):
        await told.api.pods()


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "12", "RateLimit": BOTH}, 50),
        ({"Retry-After": "60", "RateLimit": BOTH}, 60),
        ({"Retry-After": "12", "RateLimit": "nonsense"}, 12),
    ],
)
async def test_a_limited_create_waits_for_the_longest_window_and_is_sent_again(
    scene: Make, headers: dict[str, str], pause_s: float
) -> None:
    told = scene(problem(429, headers=headers), answer(pod(), 201))

    await told.api.create(wanted())

    assert told.slept == [pause_s]


@pytest.mark.parametrize("retry_after", ["", "soon", "-1"])
async def test_a_limit_that_does_not_say_how_long_is_backed_off_from(
    scene: Make, retry_after: str
) -> None:
    told = scene(Odd(problem(429, headers={"Retry-After": retry_after})), answer({"pods": []}))

    await told.api.pods()

    assert told.slept == [0.5]


async def test_a_limit_of_hours_is_reported_not_waited_for(scene: Make) -> None:
    told = scene(problem(429, headers={"Retry-After": "3600"}))

    with pytest.raises(errors.ProviderBusy) as caught:
        await told.api.pods()

    assert caught.value.retry_after_s == 3600
    assert not told.slept


async def test_a_limit_that_does_not_end_is_reported(scene: Make) -> None:
    told = scene(*[problem(429) for _ in range(4)])

    with pytest.raises(errors.ProviderBusy):
        await told.api.create(wanted())

    assert told.slept == [1, 1, 1]


async def test_an_overloaded_service_says_when_to_come_back(scene: Make) -> None:
    told = scene(problem(503, headers={"Retry-After": "20"}), answer({"pods": []}))

    await told.api.pods()

    assert told.slept == [20]


async def test_the_number_of_each_call_is_logged(
    scene: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    await scene(answer(pod(), 201)).api.create(wanted())
    with pytest.raises(errors.AccessDenied):
        await scene(problem(403)).api.pods()

    assert "method=POST path=/v2/pods status=201 request_id=req-1" in caplog.text
    assert "method=GET path=/v2/pods status=403 request_id=req-9" in caplog.text


ECHOES: list[Answer] = [
    problem(401, f"the key {KEY} is unknown"),
    problem(422, "no", errors=[f"$: {KEY}"]),
    problem(400, f"Bearer {KEY}"),
    page(403, f"denied to {KEY}"),
    Odd(httpx2.Response(500, text=KEY)),
    Odd(httpx2.Response(418, json={"error": KEY})),
    Odd(answer({"id": KEY, "env": KEY, "created_at": KEY}, 201)),
    Odd(answer({"id": {KEY: KEY}}, 201)),
    Odd(httpx2.Response(201, text=KEY)),
    httpx2.ReadError(f"lost {KEY}"),
    httpx2.ConnectError(f"refused {KEY}"),
]


@pytest.mark.parametrize("echo", ECHOES)
async def test_the_key_is_shown_nowhere_even_if_an_answer_echoes_it(
    scene: Make, echo: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = scene(echo)
    shown = [repr(told.api), str(told.api)]
    try:
        shown.append(repr(vars(await told.api.create(wanted()))).replace(KEY, "", 1))
    except errors.ProviderError as error:
        shown += [error.message, error.detail, error.hint or "", repr(error), repr(vars(error))]
        if not isinstance(echo, Exception):  # else the cause is this test's own text
            shown += traceback.format_exception(error)

    assert KEY not in "\n".join([*shown, caplog.text])


@pytest.mark.parametrize("key", ["", "two words", "new\nline", "schlüssel"])
async def test_a_key_that_no_header_carries_is_refused_unseen(key: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        RunpodApi(key)

    assert not key or key not in caught.value.message


async def test_an_answers_text_cannot_steer_a_terminal(scene: Make) -> None:
    with pytest.raises(errors.ProviderError) as caught:
        await scene(problem(403, "a\x1b[2Jb\r\n" + "long " * 1000)).api.pods()

    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1000


threads = pytest.mark.allow_blocking  # the servers run in threads that a test starts and joins


@threads
async def test_a_create_that_is_never_answered_is_sent_once_and_may_have_made_a_pod(
    connect: Connect,
) -> None:
    with Dropper(hold=True) as server, pytest.raises(errors.PodMayExist):
        await connect(server.url, create_s=1).create(wanted())

    assert len(server.heard) == 1


@threads
@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{"])
async def test_a_create_whose_answer_breaks_off_is_sent_once_and_may_have_made_a_pod(
    connect: Connect, says: bytes
) -> None:
    with Dropper(says) as server, pytest.raises(errors.PodMayExist):
        await connect(server.url).create(wanted())

    assert len(server.heard) == 1


@threads
async def test_a_create_that_found_no_connection_made_no_pod(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(errors.ProviderUnreachable) as caught:
        await connect(url).create(wanted())

    assert not caught.value.sent


@pytest.mark.slow
@threads
@pytest.mark.parametrize("hold", [True, False])
async def test_a_get_without_an_answer_is_tried_so_often_and_no_longer(
    connect: Connect, hold: bool
) -> None:
    with Dropper(hold=hold) as server, pytest.raises(errors.ProviderUnreachable):
        await connect(server.url, answer_s=1).pods()

    assert len(server.heard) == 3


@threads
async def test_an_answer_that_drips_meets_the_deadline_of_the_whole(connect: Connect) -> None:
    async def dripping(request: Request) -> Response:
        async def drops() -> Any:
            while not await request.is_disconnected():
                yield b" "
                await anyio.sleep(0.01)

        return StreamingResponse(drops())

    with serving(dripping) as url, pytest.raises(errors.ProviderUnreachable):
        await connect(url, answer_s=0.1, tries=1).pods()


@threads
async def test_a_cancelled_create_ends_at_once(connect: Connect) -> None:
    with Dropper(hold=True) as server, anyio.fail_after(30):  # RunPod itself has a minute
        with anyio.move_on_after(0.1) as scope:
            await connect(server.url).create(wanted())

    assert scope.cancelled_caught


@threads
async def test_a_whole_life_over_a_real_connection(connect: Connect) -> None:
    alive: dict[str, Any] = {}
    lock = threading.Lock()

    async def cloud(request: Request) -> Response:
        with lock:
            if request.method == "POST":
                alive["abc123"] = pod(name=(await request.json())["name"])
                return JSONResponse(alive["abc123"], 201)
            if request.method == "DELETE":
                return Response(status_code=204 if alive.pop("abc123", None) else 404)
            return JSONResponse({"pods": list(alive.values())})

    with serving(cloud) as url:
        async with connect(url) as api:
            made = await api.create(wanted(name="captiv-life"))
            assert [each.name for each in await api.pods()] == ["captiv-life"]
            await api.terminate(made.id)
            assert await api.pods() == []


@threads
async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def empty(_: Request) -> Response:
        return JSONResponse({"pods": []})

    with serving(empty) as url:
        assert await connect(url).pods() == []


async def test_a_gone_body_is_not_read(scene: Make) -> None:
    await scene(gone()).api.terminate("abc123")
