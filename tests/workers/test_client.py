import json
from collections.abc import Callable

import pytest
from starlette.requests import Request
from starlette.responses import Response

from captiv import errors
from captiv.wire import PROTOCOL, CaptionReply, CaptionRequest, Generation
from captiv.workers import WorkerClient, check_transport
from tests.workers.conftest import answering, captioned, dropping, problem, reply, working

pytestmark = pytest.mark.allow_blocking  # the servers run in threads that a test starts and joins

Talk = Callable[[str], WorkerClient]

ASK = CaptionRequest(model="blip", prompt="a photo of")


async def post(client: WorkerClient, request: CaptionRequest = ASK) -> CaptionReply | None:
    return await client.caption(b"image", "image/jpeg", request, "key", wait_s=5)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (422, "image_unreadable", errors.ImageUnreadable),
        (422, "image_too_large", errors.ImageTooLarge),
        (429, "overloaded", errors.WorkerOverloaded),
        (500, "engine_failed", errors.EngineFailed),
        (503, "not_ready", errors.WorkerNotReady),
        (503, "model_unavailable", errors.WorkerNotReady),
        (401, "unauthorized", errors.WorkerRefused),
        (404, "unknown_key", errors.UnknownKey),
        (404, "not_found", errors.WorkerRejected),
        (409, "worker_mismatch", errors.WorkerMismatch),
        (413, "invalid_request", errors.WorkerRejected),
        (422, "key_reused", errors.WorkerRejected),
        (500, "internal", errors.WorkerError),
        (500, "usage", errors.WorkerError),
    ],
)
async def test_a_problem_of_the_worker_is_captivs_error(
    talk: Talk, status: int, code: str, expected: type
) -> None:
    with (
        answering(lambda _: problem(status, code)) as url,
        pytest.raises(errors.CaptivError) as caught,
    ):
        await post(talk(url))

    assert type(caught.value) is expected
    assert "the reason of" in caught.value.message


@pytest.mark.parametrize("status", [200, 301, 401, 404, 429, 500, 502, 524])
async def test_an_answer_without_the_workers_name_came_from_something_in_between(
    talk: Talk, status: int
) -> None:
    with answering(lambda _: problem(status, "unknown_key", worker=False)) as url:
        client = talk(url)
        heard_s = client.heard_s
        for call in (post(client), client.result("k", wait_s=1), client.health(), client.models()):
            with pytest.raises(errors.WorkerUnreachable, match=str(status)):
                await call
    assert client.heard_s == heard_s, "the pod's guard has heard nobody"


async def test_any_answer_of_the_worker_tells_that_it_was_heard(talk: Talk) -> None:
    with answering(lambda _: problem(404, "unknown_key")) as url:
        client = talk(url)
        heard_s = client.heard_s
        with pytest.raises(errors.UnknownKey):
            await client.result("k", wait_s=1)

    assert client.heard_s > heard_s


@pytest.mark.parametrize("token", ["token", None])
async def test_who_only_looks_brings_no_token(token: str | None) -> None:
    brought: list[str | None] = []

    def answer(request: Request) -> Response:
        brought.append(request.headers.get("authorization"))
        return reply(status="ready", worker="w", boot_id="b", protocol=PROTOCOL)

    with answering(answer) as url:
        client = WorkerClient(url, token)
        await client.look()
        await client.health()
        await client.aclose()

    assert brought == [None, token and f"Bearer {token}"]


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", b"?"])
async def test_a_dropped_connection_is_unreachable(talk: Talk, first: bytes) -> None:
    with dropping(first) as url, pytest.raises(errors.WorkerUnreachable, match="does not answer"):
        await post(talk(url))


async def test_an_answer_that_cannot_be_decoded_is_unreachable(talk: Talk) -> None:
    damaged = Response(b"no gzip", headers={"Content-Encoding": "gzip"})
    with answering(lambda _: damaged) as url, pytest.raises(errors.WorkerUnreachable):
        await talk(url).health()


async def test_nobody_at_home_is_unreachable(talk: Talk) -> None:
    with pytest.raises(errors.WorkerUnreachable):
        await talk("http://127.0.0.1:9").health()


async def test_a_worker_that_answers_nonsense_is_a_mismatch(talk: Talk) -> None:
    with answering(lambda _: reply(no="caption")) as url, pytest.raises(errors.WorkerMismatch):
        await post(talk(url))


async def test_a_worker_of_another_protocol_is_refused_in_words(talk: Talk) -> None:
    other = PROTOCOL + 1
    told = {"status": "ready", "worker": "w", "boot_id": "b", "protocol": other}
    with (
        answering(lambda _: reply(**told)) as url,
        pytest.raises(errors.WorkerMismatch, match=f"speaks protocol {other}"),
    ):
        await talk(url).health()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("3", 3.0),
        ("0", 0.05),
        ("9999", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0),
        ("nan", 0.05),
    ],
)
async def test_the_time_to_come_back_after_is_bounded(
    talk: Talk, given: str, expected: float
) -> None:
    refusal = problem(429, "overloaded", headers={"Retry-After": given})
    with answering(lambda _: refusal) as url, pytest.raises(errors.WorkerOverloaded) as caught:
        await post(talk(url))

    assert caught.value.retry_after_s == expected


@pytest.mark.parametrize("code", ["unknown_key", "engine_failed"])
async def test_who_is_suspect_travels(talk: Talk, code: str) -> None:
    with (
        answering(lambda _: problem(500, code, suspect=True)) as url,
        pytest.raises((errors.UnknownKey, errors.EngineFailed)) as caught,
    ):
        await post(talk(url))

    assert isinstance(caught.value, errors.UnknownKey | errors.EngineFailed)
    assert caught.value.suspect


@pytest.mark.parametrize("killed", [False, True])
async def test_how_the_last_life_ended_travels(talk: Talk, killed: bool) -> None:
    told = problem(404, "unknown_key", suspect=True, killed=killed)
    with (
        answering(lambda _: told) as url,
        pytest.raises(errors.UnknownKey) as caught,
    ):
        await talk(url).result("k", wait_s=1)

    assert caught.value.killed is killed


async def test_work_that_takes_longer_is_asked_for_again(talk: Talk) -> None:
    def answer(request: Request) -> Response:
        if request.method == "POST":
            return working()
        return captioned("a/b c", caption=request.url.path)

    with answering(answer) as url:
        client = talk(url)
        assert await post(client) is None
        again = await client.result("a/b c", wait_s=1)

    assert again is not None
    assert again.caption == "/api/caption/a/b c"


@pytest.mark.parametrize("prompt", ["naïve 🦊\nline", 'quote " and \\', "\x7f delete", "x" * 9000])
async def test_any_prompt_arrives_as_it_is(talk: Talk, prompt: str) -> None:
    seen: dict[str, str] = {}

    def answer(request: Request) -> Response:
        seen.update(request.headers)
        return captioned()

    with answering(answer) as url:
        asked = CaptionRequest(prompt=prompt, generation=Generation(num_beams=3))
        await post(talk(url), asked)

    assert seen["idempotency-key"] == "key"
    assert seen["prefer"] == "wait=5"
    if "captiv-request" in seen:
        assert json.loads(seen["captiv-request"]) == {
            "prompt": prompt,
            "generation": {"num_beams": 3},
        }
    else:
        assert len(prompt) > 4096
        assert seen["content-type"].startswith("multipart/form-data")


@pytest.mark.parametrize("token", ["", "with blank", "line\n", "accént"])
def test_a_token_that_no_header_carries_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        WorkerClient("http://127.0.0.1:9", token)

    assert not token.strip() or token.strip() not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "insecure", "fine"),
    [
        ("https://far.example", False, True),
        ("http://127.0.0.1:1", False, True),
        ("http://localhost:1", False, True),
        ("http://[::1]:1", False, True),
        ("http://far.example", False, False),
        ("http://far.example", True, True),
        ("ftp://far.example", True, False),
        ("far.example:80", True, False),
        ("https://[far.example", False, False),
        ("https://far.example:99999", False, False),
        ("http://127.0.0.1.far.example", False, False),
        ("https://me:s3same@far.example", False, False),
        ("https://s3same@far.example", True, False),
    ],
)
def test_a_token_travels_in_clear_only_on_this_machine(
    url: str, insecure: bool, fine: bool
) -> None:
    if fine:
        check_transport(url, insecure=insecure)
    else:
        with pytest.raises(errors.ConfigurationError) as refused:
            check_transport(url, insecure=insecure)
        assert "s3same" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        captioned("other"),
        captioned(boot_id="other", of="boot"),
        working("other"),
        problem(422, "image_unreadable", key="other"),
        problem(404, "unknown_key", key="other", suspect=True),
    ],
    ids=["caption", "another worker's body", "202", "problem", "suspicion"],
)
async def test_an_answer_for_other_work_is_not_believed(talk: Talk, answer: Response) -> None:
    with answering(lambda _: answer) as url:
        client = talk(url)
        for call in (post(client), client.result("key", wait_s=1)):
            with pytest.raises(errors.AnswerMixedUp, match="mixes up answers"):
                await call


async def test_a_problem_that_is_about_no_work_is_believed(talk: Talk) -> None:
    with (
        answering(lambda _: problem(429, "overloaded")) as url,
        pytest.raises(errors.WorkerOverloaded),
    ):
        await post(talk(url))


@pytest.mark.parametrize("path", ["/health", "/api/models"])
async def test_what_another_worker_says_of_itself_is_not_believed(talk: Talk, path: str) -> None:
    """A proxy before two pods gives the answer of the other one, or its body alone."""

    def answer(request: Request) -> Response:
        if request.url.path == "/health":
            told = reply(status="ready", worker="w", boot_id="one", protocol=PROTOCOL)
            if path == "/health":
                told.headers["Captiv-Worker"] = "other"
            return told
        return reply(loaded="m", loaded_variant="v", models=[], boot_id="other")

    with answering(answer) as url:
        client = talk(url)
        with pytest.raises(errors.AnswerMixedUp):
            await client.health()
            await client.models()
