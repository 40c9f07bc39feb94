"""What a worker reads, and what it refuses before, while and after reading it."""

import contextlib
import http.client
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from captiv_worker.requests import patience
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.datastructures import Headers

from captiv.testing.engine import scripted_caption
from captiv.wire import MAX_IMAGE_BYTES, MAX_SCHEMA_CHARS, MAX_WAIT_S, PROBLEM_TYPE

from .conftest import AUTH, DEADLINE_S, Serve, Served, picture, until
from .taggers import write_tagger

RED = picture("red")
OF_RED = scripted_caption(Image.open(io.BytesIO(RED)))


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


def problem(answer: httpx2.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM_TYPE
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    return str(body["detail"])


def form(served: Served, **fields: Any) -> httpx2.Response:
    return served.client.post("/api/caption", files={"image": ("a.png", RED)}, data=fields)


def test_a_raw_body_is_captioned(served: Served) -> None:
    answer = served.caption(RED, generation={"max_new_tokens": 30})

    assert answer.status_code == 200
    reply = answer.json()
    assert reply["caption"] == OF_RED
    assert reply["model"] == "blip"
    assert reply["boot_id"] == served.worker.boot_id == answer.headers["captiv-worker"]


def test_a_body_without_a_request_gets_the_defaults(served: Served) -> None:
    answer = served.client.post("/api/caption", content=RED)

    assert answer.json()["caption"] == OF_RED


def test_a_form_is_captioned_with_its_settings(served: Served) -> None:
    answer = form(served, mode="photo", max_new_tokens="4", temperature="0.5", seed="7")

    reply = answer.json()
    assert reply["caption"] == "a photography of picture"
    assert reply["prompt"] == "a photography of"
    assert reply["finish"] == "length"


def test_a_worker_builds_the_prompt_with_its_length_as_captiv_does(serve: Serve) -> None:
    served = serve(model="joycaption")
    options = {"prompt_options": "character_name", "prompt_variables": "name=Ada"}

    reply = form(served, mode="midjourney", length="30", **options).json()

    assert reply["prompt"] == (
        "Write a MidJourney prompt for this image within 30 words. If there is a person/character "
        "in the image you must refer to them as Ada."
    )
    assert form(served, length="short").json()["prompt"] == (
        "Write a short detailed description for this image."
    )
    assert "no lengths" in problem(
        form(served, mode="poetic", length="short"), 422, "invalid_request"
    )


def test_a_finished_prompt_is_used_as_it_is(served: Served) -> None:
    answer = served.caption(RED, prompt="  two  spaces ")

    assert answer.json()["prompt"] == "  two  spaces "


def test_a_schema_is_taken_and_none_longer_than_captivs(served: Served) -> None:
    rules = '{"type": "object"}'
    long = "x" * (MAX_SCHEMA_CHARS + 1)

    assert form(served, answer_schema=rules).status_code == 200
    assert served.caption(RED, answer_schema=rules).status_code == 200
    assert "answer_schema" in problem(form(served, answer_schema=long), 422, "invalid_request")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"modus": "photo"}, "'modus'"),
        ({"mode": "haiku"}, "haiku"),
        ({"max_new_tokens": "many"}, "max_new_tokens"),
        ({"num_beams": "0"}, "num_beams"),
        ({"prompt_options": "no-such"}, "no-such"),
        ({"length": "short"}, "blip has no lengths"),
        ({"prompt_variables": "name"}, "name=value"),
        ({"prompt_variables": '{"name": 3}'}, "prompt_variables.name"),
        ({"answer_schema": "{"}, "answer_schema: Value error, it isn't a JSON object"),
        ({"answer_schema": "[]"}, "answer_schema"),
    ],
)
def test_a_wrong_field_is_named(served: Served, fields: dict[str, str], says: str) -> None:
    assert says in problem(form(served, **fields), 422, "invalid_request")


def test_an_unknown_field_is_answered_with_the_known_ones(served: Served) -> None:
    said = problem(form(served, temprature="1"), 422, "invalid_request")

    assert "temperature" in said


def test_a_form_without_an_image_says_how_to_send_one(served: Served) -> None:
    answer = served.client.post("/api/caption", files={"mode": (None, "photo")})

    assert "-F image=@FILE" in problem(answer, 422, "invalid_request")


def test_a_malformed_form_is_refused(served: Served) -> None:
    answer = served.client.post(
        "/api/caption",
        content=b"--b\r\nnonsense",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    problem(answer, 400, "invalid_request")


def raw(served: Served, header: bytes) -> httpx2.Response:
    headers = {b"Captiv-Request": header, b"Content-Type": b"image/png"}
    return served.client.post("/api/caption", content=RED, headers=list(headers.items()))


@pytest.mark.parametrize(
    "header", [b"{", b"nonsense", b"[" * 4000, '{"prompt": "ä"}'.encode("latin-1")]
)
def test_a_header_that_is_no_ascii_json_is_malformed(served: Served, header: bytes) -> None:
    problem(raw(served, header), 400, "invalid_request")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b'{"generation": {"heat": 1}}', "max_new_tokens"),
        (b'{"modell": "blip"}', "prompt_variables"),
        (b'{"generation": {"temperature": -1}}', "generation.temperature"),
        (b"[]", "JSON object"),
    ],
)
def test_a_header_with_wrong_fields_says_what_is_right(
    served: Served, header: bytes, says: str
) -> None:
    assert says in problem(raw(served, header), 422, "invalid_request")


def test_a_header_over_its_limit_is_told_to_use_a_form(served: Served) -> None:
    answer = raw(served, json.dumps({"prompt": "a" * 4096}).encode())

    assert "multipart/form-data" in problem(answer, 431, "invalid_request")


def test_a_prompt_longer_than_a_header_goes_as_a_form(served: Served) -> None:
    answer = form(served, prompt="word " * 2000, max_new_tokens="4096")

    assert answer.status_code == 200


def test_another_content_type_is_told_what_to_send(served: Served) -> None:
    answer = served.client.post(
        "/api/caption", content=RED, headers={"Content-Type": "application/json"}
    )

    assert "-F image=@FILE" in problem(answer, 415, "invalid_request")


@pytest.mark.parametrize("body", [b"", b"no image", RED[:60]])
def test_what_is_no_image_is_unreadable(served: Served, body: bytes) -> None:
    problem(served.caption(body), 422, "image_unreadable")


def test_another_model_than_the_loaded_one_is_a_mismatch(served: Served) -> None:
    problem(served.caption(RED, model="shapes"), 409, "worker_mismatch")
    problem(served.caption(RED, model="blip", variant="blip-base"), 409, "worker_mismatch")
    assert served.caption(RED, model="blip", variant="blip-large").status_code == 200
    assert served.caption(RED, model="blip-large").status_code == 200


def test_a_key_with_spaces_is_refused(served: Served) -> None:
    problem(served.caption(RED, key="two words"), 422, "invalid_request")


def connection(served: Served) -> http.client.HTTPConnection:
    host, _, port = served.url.removeprefix("http://").partition(":")
    return http.client.HTTPConnection(host, int(port), timeout=DEADLINE_S)


def test_a_body_that_says_it_is_too_long_is_refused_unread(served: Served) -> None:
    with socket.create_connection(
        ("127.0.0.1", int(served.url.rpartition(":")[2])), DEADLINE_S
    ) as line:
        line.sendall(
            b"POST /api/caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            + f"Authorization: {AUTH['Authorization']}\r\n".encode()
            + f"Content-Length: {MAX_IMAGE_BYTES + 1}\r\n\r\n".encode()
        )
        answer = line.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert served.worker.permits.taken == 0


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long(served: Served) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 4 * MAX_IMAGE_BYTES:
            sent += 1024 * 1024
            yield bytes(1024 * 1024)

    line = connection(served)
    headers = {**AUTH, "Content-Type": "image/png", "Transfer-Encoding": "chunked"}
    with contextlib.suppress(OSError):  # it may be refused while it sends
        line.request("POST", "/api/caption", body=endless(), headers=headers, encode_chunked=True)
    answer = line.getresponse()

    assert answer.status == 413
    answer.read()
    line.close()
    assert served.worker.permits.taken == 0


def test_a_client_that_leaves_in_the_middle_of_its_body_gives_its_permit_back(
    served: Served,
) -> None:
    with socket.create_connection(
        ("127.0.0.1", int(served.url.rpartition(":")[2])), DEADLINE_S
    ) as line:
        line.sendall(
            b"POST /api/caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            + f"Authorization: {AUTH['Authorization']}\r\n".encode()
            + b"Content-Length: 1000\r\n\r\nhalf"
        )
        until(lambda: served.worker.permits.taken == 1)

    until(lambda: served.worker.permits.taken == 0)
    assert served.caption(RED).status_code == 200


@pytest.mark.parametrize(
    ("prefer", "wait_s", "applied"),
    [
        ("wait=5", 5, "wait=5"),
        ("respond-async, wait=7", 7, "wait=7"),
        ("wait=600", MAX_WAIT_S, "wait=60"),
        ("wait=0.5", 0.5, "wait=0.5"),
        ("respond-async", 0, "respond-async"),
        ("WAIT = 0", 0, "wait=0"),
        ("wait=soon", 33, None),
        ("return=minimal", 33, None),
        ("longwait=3", 33, None),
    ],
)
def test_prefer_says_how_long_an_answer_is_awaited(
    prefer: str, wait_s: float, applied: str | None
) -> None:
    waits = patience(Headers({"Prefer": prefer}), default_s=33)

    assert (waits.wait_s, waits.applied) == (wait_s, applied)


@given(st.text(st.characters(max_codepoint=255)))
def test_no_preference_makes_an_answer_wait_longer_than_allowed(prefer: str) -> None:
    assert 0 <= patience(Headers({"Prefer": prefer}), default_s=0).wait_s <= MAX_WAIT_S


def test_only_a_tagger_is_told_which_tags_to_write(served: Served) -> None:
    wrong = form(served, tagging='{"thresholds": {"general": 2}}')
    no_json = form(served, tagging="general=0.5")

    assert "isn't a tagger" in problem(form(served, tagging="{}"), 422, "invalid_request")
    assert "tagging.thresholds.general" in problem(wrong, 422, "invalid_request")
    assert "tagging isn't JSON" in problem(no_json, 400, "invalid_request")


def test_a_tagger_writes_the_tags_that_a_form_asks_for(serve: Serve, tmp_path: Path) -> None:
    folder = write_tagger(tmp_path / "wd", "wd-tagger")
    served = serve(model=str(folder), engine="auto")
    tagging = {"thresholds": {"rating": 0.5}, "exclude": ["x" * 5000], "escape": True}

    asked = form(served, tagging=json.dumps(tagging | {"thresholds": {"character": 0.9}}))

    assert form(served).json()["caption"] == "red theme, alice (series), warm (color), ^_^"
    assert form(served, tagging=json.dumps(tagging)).json()["caption"] == "sensitive"
    assert asked.json()["caption"] == r"alice \(series\)"
    assert served.client.get("/health").json()["engine"] == "onnxruntime"
