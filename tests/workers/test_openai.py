"""A chat server behind the calls of a worker: what is asked, what is answered, what goes wrong."""

import io
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.responses import JSONResponse, Response

from captiv import errors
from captiv.testing.chat import Call, ChatServer, answered, dropped, refused
from captiv.testing.engine import scripted_caption
from captiv.wire import CaptionReply, CaptionRequest, Generation
from captiv.workers.openai import (
    Asking,
    OpenAiClient,
    OpenAiServer,
    Wanted,
    foretold,
    served_models,
)
from captiv.workers.openai.client import base_url
from captiv.workers.openai.pace import Pace
from captiv.workers.openai.served import is_named, pick
from tests.workers.conftest import answering, dropping, problem

pytestmark = pytest.mark.allow_blocking  # the servers run in threads that a test starts and joins

ASK = CaptionRequest(
    model="joycaption",
    prompt="Write a haiku.",
    generation=Generation(max_new_tokens=99, temperature=0.6, top_p=0.9, num_beams=1, seed=3),
)


def picture(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


SEEN = Image.open(io.BytesIO(picture()))
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"

Talk = Callable[..., OpenAiClient]


@pytest.fixture
def notes() -> list[str]:
    """What a person is told."""
    return []


@pytest.fixture
async def talk(notes: list[str]) -> AsyncIterator[Talk]:
    """Make clients as a lane would, and close them at the end."""
    made: list[OpenAiClient] = []

    def to(url: str, *names: str, token: str | None = None, **asking: Any) -> OpenAiClient:
        strict = asking.pop("strict", True)
        wanted = Wanted(names or ("some-vlm",), strict=strict)
        server = OpenAiServer(url, token, Asking(wanted, **asking), on_note=notes.append)
        client = server._address.connect()
        assert isinstance(client, OpenAiClient)
        made.append(client)
        return client

    yield to
    for client in made:
        await client.aclose()


async def post(client: OpenAiClient, request: CaptionRequest = ASK) -> CaptionReply:
    reply = await client.caption(picture(), "image/png", request, "key", wait_s=5)
    assert reply is not None
    return reply


async def test_the_picture_the_prompts_and_the_settings_arrive(talk: Talk) -> None:
    with ChatServer(key="secret") as server:
        client = talk(server.url, token="secret", system="Be exact.")
        assert (await client.health()).status == "ready"
        reply = await post(client)

    call = server.calls[0]
    seen = Image.open(io.BytesIO(picture()))
    assert reply.caption == scripted_caption(seen, "Write a haiku.")
    assert (call.system, call.prompt, call.image.size) == ("Be exact.", "Write a haiku.", (40, 30))
    assert call.headers["authorization"] == "Bearer secret"
    settings = {k: v for k, v in call.body.items() if k not in ("model", "messages", "stream")}
    assert settings == {"max_tokens": 99, "temperature": 0.6, "top_p": 0.9, "seed": 3}
    assert (reply.model, reply.variant, reply.prompt) == ("joycaption", "some-vlm", ASK.prompt)
    assert (reply.finish, reply.tokens) == ("stop", 7)


async def test_greedy_sends_no_sampling_and_extensions_only_where_they_matter(talk: Talk) -> None:
    plain = Generation(temperature=0, top_p=0.9, top_k=50, repetition_penalty=1, min_new_tokens=0)
    plain = plain.model_copy(update={"presence_penalty": 0, "no_repeat_ngram_size": 0})
    full = Generation(temperature=1, top_k=5, repetition_penalty=1.1, min_new_tokens=3)
    full = full.model_copy(update={"presence_penalty": 1.5})
    with ChatServer() as server:
        for generation in (plain, full):
            await post(talk(server.url), CaptionRequest(prompt="p", generation=generation))

    greedy, sampled = (call.body for call in server.calls)
    assert set(greedy) == {"model", "messages", "stream", "temperature"}
    assert {k: sampled[k] for k in ("top_k", "min_tokens")} == {"top_k": 5, "min_tokens": 3}
    assert sampled["repetition_penalty"] == sampled["repeat_penalty"] == 1.1
    assert sampled["presence_penalty"] == 1.5


SCHEMA = '{"type":"object","properties":{"a":{"type":"string"}}}'
HELD = ASK.model_copy(update={"answer_schema": SCHEMA})


async def test_a_server_is_told_the_schema_that_its_answers_are_held_to(talk: Talk) -> None:
    with ChatServer() as server:
        client = talk(server.url)
        await post(client, HELD)
        await post(client)

    held, plain = (call.body for call in server.calls)
    form = {"name": "answer", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    assert held["response_format"] == {"type": "json_schema", "json_schema": form}
    assert "response_format" not in plain


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_the_schema_is_asked_without_from_then_on(
    talk: Talk, notes: list[str], status: int
) -> None:
    def rule(call: Call) -> Response | None:
        return refused(status, "no response_format") if "response_format" in call.body else None

    with ChatServer(rule=rule) as server:
        client = talk(server.url)
        replies = [await post(client, HELD) for _ in range(2)]

    assert {reply.caption for reply in replies} == {scripted_caption(SEEN, ASK.prompt)}
    assert ["response_format" in call.body for call in server.calls] == [True, False, False]
    assert len(notes) == 1
    assert "doesn't take a schema" in notes[0]


async def test_a_server_that_refuses_the_request_itself_is_told_the_schema_again(
    talk: Talk, notes: list[str]
) -> None:
    with ChatServer(rule=lambda _: refused(400, "too long")) as server:
        client = talk(server.url)
        for _ in range(2):
            with pytest.raises(errors.WorkerRejected, match="too long"):
                await post(client, HELD)

    assert ["response_format" in call.body for call in server.calls] == [True, False] * 2
    assert notes == []


async def test_no_key_sends_none_and_no_system_prompt_is_no_message(talk: Talk) -> None:
    with ChatServer() as server:
        await post(talk(server.url))

    assert "authorization" not in server.calls[0].headers
    assert [m["role"] for m in server.calls[0].body["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("answer", "text", "finish"),
    [
        (answered("  a dog \n", finish="length"), "a dog", "length"),
        (answered("a dog", finish="stop"), "a dog", "stop"),
        (
            answered([{"type": "text", "text": "a "}, {"type": "text", "text": "dog"}]),
            "a dog",
            "stop",
        ),
        (answered("<think>It barks.</think>\n\na dog"), "a dog", "stop"),
        (answered("a dog", reasoning_content="It barks."), "a dog", "stop"),
        (answered(None), "", "stop"),
    ],
)
async def test_an_answer_is_read(talk: Talk, answer: Response, text: str, finish: str) -> None:
    with ChatServer(rule=lambda _: answer) as server:
        reply = await post(talk(server.url))

    assert (reply.caption, reply.finish) == (text, finish)


@pytest.mark.parametrize(
    ("answer", "expected", "says"),
    [
        (answered("<think>It bar", finish="length"), errors.AnswerError, "thinking off"),
        (answered("", reasoning_content="It bar"), errors.AnswerError, "thinking off"),
        (answered("", finish="content_filter"), errors.AnswerError, "filter"),
        (JSONResponse({"choices": []}), errors.WorkerMismatch, "protocol"),
        (JSONResponse(["a dog"]), errors.WorkerMismatch, "protocol"),
        (Response(b"<html>"), errors.WorkerMismatch, "protocol"),
        (refused(400, "bad field"), errors.WorkerRejected, "bad field"),
        (
            refused(400, "This model's maximum context length is 2048 tokens."),
            errors.WorkerRejected,
            "too long for the model",
        ),
        (refused(401, "wrong key"), errors.WorkerRefused, "wrong key"),
        (refused(403, "not you"), errors.WorkerRefused, "not you"),
        (refused(402, "no credit"), errors.NoWorker, "no credit"),
        (refused(404, "no such model"), errors.WorkerMismatch, "some-vlm"),
        (refused(413, "too big"), errors.WorkerRejected, "too big"),
        (JSONResponse({"detail": "Unexpected keys"}, 422), errors.WorkerRejected, "Unexpected"),
        (refused(429, "slow down"), errors.WorkerOverloaded, "slow down"),
        (refused(429, "pay", "insufficient_quota"), errors.NoWorker, "pay"),
        (refused(503, "Loading model"), errors.WorkerOverloaded, "Loading"),
        (refused(500, "CUDA error"), errors.EngineFailed, "CUDA error"),
        (Response(b"<html>bad gateway</html>", 502), errors.WorkerUnreachable, "502"),
        (Response(b"", 504), errors.WorkerUnreachable, "504"),
        (Response(b"", 301, {"Location": "https://far/v1"}), errors.WorkerMismatch, "https://far"),
    ],
)
async def test_what_a_server_refuses_is_captivs_error(
    talk: Talk, answer: Response, expected: type[errors.CaptivError], says: str
) -> None:
    with ChatServer(rule=lambda _: answer) as server, pytest.raises(errors.CaptivError) as caught:
        await post(talk(server.url))

    assert type(caught.value) is expected
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("given", "expected"), [("3", 3.0), ("0", 0.05), ("9999", 60.0), ("soon", 1.0)]
)
async def test_the_time_to_come_back_after_is_bounded(
    talk: Talk, given: str, expected: float
) -> None:
    busy = refused(429, "slow down", retry_after=given)
    with (
        ChatServer(rule=lambda _: busy) as server,
        pytest.raises(errors.WorkerOverloaded) as caught,
    ):
        await post(talk(server.url))

    assert caught.value.retry_after_s == expected


async def test_no_answer_in_time_is_the_engines_and_may_be_paid_twice(
    talk: Talk, notes: list[str]
) -> None:
    with ChatServer(answer_s=1000) as server:
        client = talk(server.url, timeout_s=0.3)
        with pytest.raises(errors.EngineFailed, match=r"within 0.3 s"):
            await post(client)

    assert "paid twice" in notes[0]


async def test_a_lost_answer_is_said_once_and_suspect_when_it_is_lost_again_and_again(
    talk: Talk, notes: list[str]
) -> None:
    with ChatServer(rule=lambda _: dropped()) as server:
        client = talk(server.url)
        suspects = []
        for _ in range(3):
            with pytest.raises(errors.WorkerUnreachable):
                await post(client)
            with pytest.raises(errors.UnknownKey) as caught:
                await client.result("key", wait_s=0)
            suspects.append(caught.value.suspect)

    assert suspects == [False, False, True]
    assert len(notes) == 1
    assert "paid twice" in notes[0]


async def test_what_was_never_sent_is_not_in_doubt(talk: Talk, notes: list[str]) -> None:
    client = talk("http://127.0.0.1:9")

    for call in (post(client), client.health()):
        with pytest.raises(errors.WorkerUnreachable):
            await call
    assert notes == []


async def test_a_listing_that_breaks_off_is_unreachable(talk: Talk) -> None:
    with dropping(HALF) as url, pytest.raises(errors.WorkerUnreachable):
        await talk(url).health()


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (refused(403, "not you"), errors.WorkerRefused),
        (JSONResponse({"models": []}), errors.WorkerMismatch),
        (Response(b"hello"), errors.WorkerMismatch),
        (Response(b"", 502), errors.WorkerUnreachable),
    ],
)
async def test_what_is_no_such_server_is_refused_in_words(
    talk: Talk, listing: Response, expected: type
) -> None:
    with ChatServer(listing=listing) as server, pytest.raises(errors.WorkerError) as caught:
        await talk(server.url).health()

    assert type(caught.value) is expected


async def test_a_worker_of_captivs_is_told_from_a_chat_server(talk: Talk) -> None:
    with answering(lambda _: problem(404, "not_found")) as url:
        with pytest.raises(errors.WorkerMismatch, match="worker of captiv's"):
            await talk(url).health()
        with pytest.raises(errors.WorkerMismatch, match="worker of captiv's"):
            await served_models(url, None)


async def test_a_server_that_cannot_list_is_asked_for_what_was_named(talk: Talk) -> None:
    with ChatServer(listing=Response(b"", 500)) as server:
        client = talk(server.url)
        assert (await client.health()).status == "ready"
        assert (await post(client)).variant == "some-vlm"
        with pytest.raises(errors.WorkerUnreachable):
            await talk(server.url, "joy", strict=False).health()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_loads_or_is_busy_is_waited_for(talk: Talk, status: int) -> None:
    with ChatServer(listing=refused(status, "Loading model")) as server:
        health = await talk(server.url).health()

    assert health.status == "loading"


@pytest.mark.parametrize("listing", [True, False])
async def test_a_server_that_repeats_the_key_is_not_quoted(talk: Talk, listing: bool) -> None:
    wrong = refused(401, "Incorrect API key provided: s3same-key.")
    with (
        ChatServer(rule=lambda _: wrong, listing=wrong if listing else None) as server,
        pytest.raises(errors.WorkerRefused) as caught,
    ):
        client = talk(server.url, token="s3same-key")
        await client.health()
        await post(client)

    assert "Incorrect API key" in caught.value.message
    assert "s3same" not in caught.value.message


async def test_a_burst_of_refusals_halves_the_pace_once(talk: Talk) -> None:
    with ChatServer(rule=lambda _: refused(429, "slow down")) as server:
        client = talk(server.url)
        async with anyio.create_task_group() as tg:
            for _ in range(4):
                tg.start_soon(refused_once, client)
        assert (await client.health()).permits == 2
        await refused_once(client)
        assert (await client.health()).permits == 1


async def refused_once(client: OpenAiClient) -> None:
    with pytest.raises(errors.WorkerOverloaded):
        await post(client)


async def test_the_models_of_a_server_are_listed() -> None:
    with ChatServer(models=["a", "b"], key="k") as server:
        assert await served_models(server.url, "k") == ["a", "b"]
        with pytest.raises(errors.WorkerRefused):
            await served_models(server.url, None)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("https://far.example/api/v1", "https://far.example/api/v1"),
        ("https://far.example/v1beta/openai", "https://far.example/v1beta/openai"),
    ],
)
def test_the_protocol_is_below_v1_unless_the_address_says_otherwise(url: str, base: str) -> None:
    assert base_url(url) == base


HUB = "fancyfeast/llama-joycaption-beta-one-hf-llava"


@pytest.mark.parametrize(
    ("served", "names", "strict", "found"),
    [
        (["a", "b"], ("b",), True, "b"),
        (["A", "b"], ("a",), True, "A"),
        (["x", HUB], ("beta-one", HUB), False, HUB),
        (["x", HUB.rpartition("/")[2]], ("beta-one", HUB), False, HUB.rpartition("/")[2]),
        (["x", "/m/Llama-JoyCaption-beta-one-hf-llava-Q4_K.gguf"], ("v", HUB), False, 1),
        (["whatever"], ("v", HUB), False, "whatever"),
        (["whatever"], ("v", HUB), True, None),
        (["q/vl-Q4", "q/vl-Q8"], ("vl",), False, None),
        ([], ("v",), False, None),
    ],
)
def test_the_model_that_is_meant_is_found_or_all_are_named(
    served: list[str], names: tuple[str, ...], strict: bool, found: str | int | None
) -> None:
    wanted = Wanted(names, strict=strict)
    if found is None:
        with pytest.raises(errors.WorkerMismatch) as caught:
            pick(served, wanted, "http://far")
        assert ", ".join(served) in str(caught.value.hint)
        return
    assert pick(served, wanted, "http://far") == (
        served[found] if isinstance(found, int) else found
    )


async def test_another_name_for_the_model_is_said(talk: Talk, notes: list[str]) -> None:
    with ChatServer(models=["my-alias"]) as server:
        client = talk(server.url, "joycaption-beta-one", HUB, strict=False)
        await client.health()
        await client.health()

    assert len(notes) == 1
    assert "my-alias as joycaption-beta-one" in notes[0]


TOOK = st.lists(st.none() | st.floats(0, 100), max_size=200)


@given(st.none() | st.integers(1, 100), TOOK)
def test_a_pace_stays_between_one_and_what_is_allowed(
    most: int | None, events: list[float | None]
) -> None:
    pace = Pace.opening(most, 10.0)
    for took_s in events:
        pace = pace.refused() if took_s is None else pace.answered(took_s)
        assert 1 <= pace.limit <= pace.ceiling == (most or 64)


def test_a_pace_grows_with_quick_answers_and_rests_where_images_would_queue() -> None:
    pace = Pace.opening(None, 10.0)
    for _ in range(20):
        pace = pace.answered(1.0)
    assert pace.limit == 24

    slow = pace.answered(11.0)
    for _ in range(23):
        slow = slow.answered(11.0)
    assert slow.limit == 23
    assert slow.answered(1.0).limit == 23
    assert slow.refused().limit == 11


@pytest.mark.slow
async def test_a_server_with_one_slot_is_not_buried(talk: Talk) -> None:
    """Each answer takes as long as all before it in the queue: growing gains nothing there."""
    with ChatServer(slots=1, answer_s=0.1) as server:
        client = talk(server.url, timeout_s=60)
        client._pace = Pace.opening(None, 0.5)
        rounds = 0
        while rounds < 8 or server.most_at_once <= 4:  # more, if this machine had stalled
            limit = (await client.health()).permits
            async with anyio.create_task_group() as tg:
                for _ in range(limit):
                    tg.start_soon(post, client)
            rounds += 1

    assert server.most_at_once < 20


async def test_no_answer_waits_until_its_prompt_is_foretold(
    talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "tokenizer.json")  # nobody ever writes it
    with ChatServer(models=["some-vlm"]) as server:
        client = talk(server.url, source=str(tmp_path))

        with anyio.fail_after(20):
            await post(client)

        proof = client._proof
        assert proof is not None
        monkeypatch.setattr(foretold, "_LIMIT_S", 0.0)
        await client.aclose()
    assert proof.process.returncode is not None


def test_a_model_that_is_only_called_alike_is_not_the_one_whose_prompts_are_known() -> None:
    hub_id = "fancyfeast/llama-joycaption-beta-one-hf-llava"
    wanted = Wanted(("joycaption-beta-one", hub_id), strict=False)

    assert is_named("LLAMA-JoyCaption-beta-one-hf-llava", wanted)
    assert not is_named("llama-joycaption-beta-one-hf-llava-q4.gguf", wanted)


async def test_a_model_that_was_taken_for_the_wanted_one_is_not_foretold(
    talk: Talk, tmp_path: Path
) -> None:
    with ChatServer(models=["whatever-it-serves"]) as server:
        client = talk(server.url, source=str(tmp_path), strict=False)
        await client.health()

        await post(client)

    assert client._proof is None
    assert client._unproved == str(tmp_path)
