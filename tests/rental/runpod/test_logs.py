"""A pod's log over real connections that break, fall silent and end."""

import json
import threading
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from captiv import errors
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import LogLine
from tests.contract.contract import check_request, check_response
from tests.rental.runpod.conftest import KEY, Connect, problem
from tests.serving import serving
from tests.support import DEADLINE_S

pytestmark = pytest.mark.allow_blocking  # the servers run in threads that a test starts and joins

SLOW = {"first_line_s": 60.0, "next_line_s": 60.0}
"""Patience with a server that may stall, where the reading ends otherwise."""
HOLD = object()
"""Says nothing more, and keeps the connection."""


def event(number: int, text: str | None = None) -> bytes:
    """Return one event as RunPod sends it."""
    at = f"2026-11-23T10:00:{number:02d}Z"
    data = {"ts": at, "source": "container", "line": text or f"line {number}"}
    return f"id: {at}/{number}\ndata: {json.dumps(data)}\n\n".encode()


class Streams:
    """Answers each call with the next script: a status, or chunks and then an end or a hold."""

    def __init__(self, *scripts: Iterable[Any] | int) -> None:
        self._scripts = list(scripts)
        self.asked: list[tuple[dict[str, str], str | None]] = []
        self.ended = threading.Event()

    async def answer(self, request: Request) -> Response:
        headers = dict(request.headers)
        check_request("GET", request.url.path, dict(request.query_params), headers)
        self.asked.append((dict(request.query_params), headers.get("last-event-id")))
        script = self._scripts.pop(0)
        if isinstance(script, int):
            told = problem(script, headers={"Retry-After": "1"} if script == 429 else None)
            return Response(told.content, script, dict(told.headers))
        chunks = list(script)
        whole = b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))
        reply = {"Content-Type": "text/event-stream", "x-request-id": "r"}
        if b"id: " in whole:
            check_response("GET", request.url.path, 200, reply, whole)
        return StreamingResponse(self._said(request, chunks), headers=reply)

    async def _said(self, request: Request, chunks: list[Any]) -> Any:
        try:
            for chunk in chunks:
                if chunk is HOLD:
                    while not await request.is_disconnected():
                        await anyio.sleep(0.01)
                else:
                    yield chunk
        finally:
            self.ended.set()


async def read(api: RunpodApi, **how: Any) -> list[LogLine]:
    with anyio.fail_after(DEADLINE_S):
        return [line async for line in api.logs("abc123", **how)]


async def test_without_a_source_the_container_and_its_host_are_read(connect: Connect) -> None:
    host = event(2).replace(b'"container"', b'"system"')
    streams = Streams([event(1), host, HOLD])

    with serving(streams.answer) as url:
        lines = await read(connect(url, **SLOW), tail=2, source=None)

    assert [line.source for line in lines] == ["container", "system"]
    assert "source" not in streams.asked[0][0]


async def test_the_tail_is_given_and_the_reading_ends_with_it(connect: Connect) -> None:
    streams = Streams([event(1), event(2), HOLD])

    with serving(streams.answer) as url:
        lines = await read(connect(url, **SLOW), tail=2, source="system")

    assert [line.text for line in lines] == ["line 1", "line 2"]
    assert lines[0].at == datetime(2026, 11, 23, 10, 0, 1, tzinfo=UTC)
    assert lines[0].source == "container"
    assert streams.asked == [({"source": "system", "tail": "2"}, None)]


@pytest.mark.parametrize("chunks", [[event(1), HOLD], [event(1)], [b": ping\n\n", event(1), HOLD]])
async def test_a_log_that_is_not_followed_ends_when_it_is_quiet(
    connect: Connect, chunks: list[Any]
) -> None:
    with serving(Streams(chunks).answer) as url:
        lines = await read(connect(url, first_line_s=60, next_line_s=0.1))

    assert len(lines) == 1


async def test_an_empty_log_is_not_waited_for_long(connect: Connect) -> None:
    with serving(Streams([HOLD]).answer) as url:
        assert await read(connect(url, first_line_s=0.1)) == []


async def test_no_tail_asks_nothing(connect: Connect) -> None:
    assert await read(connect("http://127.0.0.1:9"), tail=0) == []


async def test_a_followed_log_goes_on_where_it_broke_off_until_the_pod_is_gone(
    connect: Connect,
) -> None:
    streams = Streams([event(1), event(2)], [event(3)], [], 503, [event(4)], 404)

    with serving(streams.answer) as url:
        lines = await read(connect(url), follow=True)

    assert [line.text for line in lines] == ["line 1", "line 2", "line 3", "line 4"]
    assert [last for _, last in streams.asked] == [
        None,
        *["2026-11-23T10:00:02Z/2"],
        *["2026-11-23T10:00:03Z/3"] * 3,
        "2026-11-23T10:00:04Z/4",
    ]


async def test_a_line_that_a_new_connection_repeats_is_given_once(connect: Connect) -> None:
    streams = Streams([event(1), event(2)], [event(2), event(3)], 404)

    with serving(streams.answer) as url:
        lines = await read(connect(url), follow=True)

    assert [line.text for line in lines] == ["line 1", "line 2", "line 3"]


async def test_a_followed_log_that_falls_silent_is_asked_for_again(connect: Connect) -> None:
    asked: list[str | None] = []

    async def answer(request: Request) -> Response:
        """Say the line after the last that was heard, and no more; after the second, be gone."""
        asked.append(request.headers.get("last-event-id"))
        said = int((asked[-1] or "/0").rpartition("/")[2])
        script: Iterable[Any] | int = 404 if said == 2 else [event(said + 1), HOLD]
        return await Streams(script).answer(request)

    with serving(answer) as url:
        lines = await read(connect(url, silence_s=0.3), follow=True)

    assert [line.text for line in lines] == ["line 1", "line 2"]
    assert [last and last[-2:] for last in dict.fromkeys(asked)] == [None, "/1", "/2"]


async def test_the_log_of_no_pod_is_an_error(connect: Connect) -> None:
    with serving(Streams(404).answer) as url, pytest.raises(errors.PodGone):
        await read(connect(url), follow=True)


@pytest.mark.parametrize("status", [503, 429])
async def test_a_log_that_cannot_be_had_is_given_up(connect: Connect, status: int) -> None:
    with (
        serving(Streams(status, status, status).answer) as url,
        pytest.raises(errors.ProviderError),
    ):
        await read(connect(url), follow=True)


async def test_a_refusal_is_not_tried_again(connect: Connect) -> None:
    with serving(Streams(401).answer) as url, pytest.raises(errors.KeyRefused):
        await read(connect(url), follow=True)


async def test_a_page_is_no_log(connect: Connect) -> None:
    async def hello(_: Request) -> Response:
        return Response("<html>", media_type="text/html")

    with serving(hello) as url, pytest.raises(errors.ProviderMismatch):
        await read(connect(url))


@pytest.mark.parametrize("data", ["odd words", "[1]", '{"odd": 1}', '"odd"'])
async def test_an_event_of_another_shape_is_a_line_as_it_stands(
    connect: Connect, data: str
) -> None:
    with serving(Streams([f"data: {data}\n\n".encode()]).answer) as url:
        lines = await read(connect(url))

    assert [line.text for line in lines] == [data]


async def test_a_line_does_not_show_the_key(connect: Connect) -> None:
    with serving(Streams([event(1, f"key={KEY}")]).answer) as url:
        (line,) = await read(connect(url))

    assert KEY not in line.text


async def test_leaving_a_log_closes_its_connection(connect: Connect) -> None:
    streams = Streams([event(1), HOLD])

    with serving(streams.answer) as url:
        async with aclosing(connect(url).logs("abc123", follow=True)) as lines:
            async for _ in lines:
                break
        assert await anyio.to_thread.run_sync(streams.ended.wait, DEADLINE_S)
