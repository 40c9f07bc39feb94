"""The vLLM engine over a server that stands for vLLM: prompts, room, failures, and its end."""

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from captiv_worker.engines.loopback import Reply
from captiv_worker.engines.sights import sight_of
from captiv_worker.engines.spec import Answer
from captiv_worker.engines.vllm import _outcome
from PIL import Image

from captiv.core.structure import NAMED, bare, checked
from captiv.testing.engine import scripted_caption

from .checkpoints import PathOf, named
from .conftest import DEADLINE_S, Child, Serve, Served, Spawn, picture, until
from .vllm import Standin, group_of, is_gone, standin, until_gone

__all__ = ["standin"]

KEY = {"Idempotency-Key": "k1", "Prefer": "wait=0", "Content-Type": "image/png"}
COLOURS = ("red", "blue", "yellow", "black", "white", "cyan")


@pytest.fixture
def joycaption(checkpoint_path: PathOf) -> Path:
    return checkpoint_path(named("joycaption-beta-one"))


def expected(image: bytes, path: Path) -> str:
    """Return what the stand-in says of the picture that the worker sends it."""
    fitted = sight_of(path).fitted(Image.open(io.BytesIO(image)).convert("RGB"))
    return scripted_caption(fitted)


Started = Callable[..., Served]


@pytest.fixture
def started(serve: Serve, standin: Standin, joycaption: Path) -> Iterator[Started]:
    """Serve a tiny JoyCaption by the stand-in, which behaves as the keywords say."""

    def start(*, capacity: int = 4, model: Path = joycaption, **script: Any) -> Served:
        standin(**script)
        return serve(engine="vllm", model=str(model), max_batch=capacity)

    yield start


@pytest.mark.parametrize("variant", ["joycaption-beta-one", "qwen3-vl-2b", "qwen2.5-vl-3b"])
def test_each_family_is_captioned_and_every_prompt_is_as_foretold(
    started: Started, checkpoint_path: PathOf, variant: str
) -> None:
    path = checkpoint_path(named(variant))
    served = started(model=path)
    images = [picture("red", (64, 48)), picture("blue", (31, 97)), picture("cyan", (200, 200))]

    answers = [served.caption(image) for image in images]

    assert [a.status_code for a in answers] == [200] * 3, [a.text for a in answers]
    assert [a.json()["caption"] for a in answers] == [expected(image, path) for image in images]
    assert {a.json()["finish"] for a in answers} == {"stop"}


def test_the_health_tells_engine_version_and_engines(started: Started) -> None:
    served = started()

    health = served.client.get("/health").json()

    assert (health["status"], health["engine"]) == ("ready", "vllm")
    assert health["engine_version"] == "0.33.0"
    assert {"transformers", "vllm"} <= set(health["engines"])
    assert (health["device"], health["dtype"]) == ("cpu", "bfloat16")
    assert (health["max_batch"], health["permits"]) == (4, 8)


def test_the_server_is_told_every_setting_and_the_text_that_was_rendered(
    started: Started, tmp_path: Path
) -> None:
    served = started(kept=str(tmp_path / "kept"))

    generation = {"max_new_tokens": 3, "temperature": 0.5, "top_k": 9, "seed": 5}
    generation["presence_penalty"] = 1.25
    answer = served.caption(picture(), prompt="Say it.", generation=generation)

    body = json.loads((tmp_path / "kept").read_text().splitlines()[-1])
    text = body["messages"][0]["content"][1]["text"]
    assert text.startswith("<|begin_of_text|><|start_header_id|>system")
    assert text.count("<|reserved_special_token_69|>") == 1
    assert "Say it." in text
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (3, 0.5, 5)
    assert (body["top_k"], body["top_p"], body["repetition_penalty"]) == (9, 0.9, 1.0)
    assert body["presence_penalty"] == 1.25
    assert (answer.json()["tokens"], answer.json()["finish"]) == (3, "length")


def test_the_server_holds_the_answer_to_the_schema_that_came_with_the_image(
    started: Started, tmp_path: Path
) -> None:
    """As a field of a form, or in the header that names everything."""
    served = started(kept=str(tmp_path / "kept"))
    run = checked(json.dumps(NAMED["caption-tags"]), "caption-tags").text

    held = served.caption(picture(), prompt="Say it.", answer_schema=bare(run))
    of_form = served.client.post(
        "/api/caption",
        files={"image": ("a.png", picture())},
        data={"prompt": "Say it.", "answer_schema": bare(run)},
    )
    refused = served.caption(picture(), prompt="Say it.", answer_schema=run)

    bodies = map(json.loads, (tmp_path / "kept").read_text().splitlines()[-3:])
    asked = [body["structured_outputs"]["json"] for body in bodies]
    assert asked == [*[json.loads(bare(run))] * 2, json.loads(run)]
    assert held.json()["caption"].startswith('{"caption": ')
    assert of_form.json()["caption"] == held.json()["caption"]
    assert "uniqueItems" in refused.json()["detail"]


def test_a_prompt_that_was_read_otherwise_than_foretold_keeps_the_model_from_being_ready(
    started: Started,
) -> None:
    served = started(miscount=2)

    health = served.client.get("/health").json()

    assert (health["status"], health["code"]) == ("failed", "model_unavailable")
    assert "where captiv foretold" in health["reason"]
    assert "--engine transformers" in health["reason"]


def test_a_server_that_ends_while_it_loads_is_told_in_its_own_words(
    started: Started, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    served = started(refuses="ValueError: The checkpoint has no weights.")

    health = served.client.get("/health").json()

    assert health["status"] == "failed"
    assert "ValueError: The checkpoint has no weights" in health["reason"]
    assert "exit code 1" in health["reason"]
    until_gone(group_of(caplog.text))


def test_a_model_that_does_not_fit_is_told_as_with_the_other_engine(started: Started) -> None:
    served = started(refuses="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.")

    reason = served.client.get("/health").json()["reason"]

    assert reason.startswith("The model does not run on this device: ")
    assert "Use a smaller variant" in reason


def test_an_image_that_the_server_fails_on_fails_alone(started: Started) -> None:
    served = started(fail_on=["yellow"])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(served.caption, [picture(colour) for colour in COLOURS]))

    by_colour = dict(zip(COLOURS, answers, strict=True))
    failed = by_colour.pop("yellow")
    assert (failed.status_code, failed.json()["code"]) == (500, "engine_failed")
    assert {a.status_code for a in by_colour.values()} == {200}
    until(lambda: served.worker.permits.taken == 0)


def test_a_storm_of_good_and_bad_requests_leaves_every_permit_free(started: Started) -> None:
    served = started(capacity=16, fail_on=["blue"])
    bodies = [picture("red"), picture("blue"), picture("white"), b"no image", picture("black")]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(served.caption, bodies * 12))

    assert [a.status_code for a in answers] == [200, 500, 200, 422, 200] * 12
    until(lambda: served.worker.permits.taken == 0)
    assert served.caption(picture("red")).status_code == 200


def test_a_prompt_that_holds_the_images_token_is_refused(
    started: Started, checkpoint_path: PathOf
) -> None:
    served = started(model=checkpoint_path(named("qwen3-vl-2b")))

    answer = served.caption(picture(), prompt="What is <|image_pad|>?")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_longer_prompt_than_the_model_reads_is_refused(started: Started) -> None:
    served = started()

    answer = served.caption(picture(), prompt="xq7" * 1000)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "the model reads 2047" in answer.json()["detail"]


def test_beams_are_refused_by_name(started: Started) -> None:
    served = started()

    answer = served.caption(picture(), generation={"num_beams": 3})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "3 beams" in answer.json()["detail"]


def test_another_model_ends_the_server_and_starts_another(
    started: Started, checkpoint_path: PathOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    served = started()
    group = group_of(caplog.text)
    assert not is_gone(group)

    change = {"model": str(checkpoint_path(named("qwen3-vl-2b")))}
    assert served.client.put("/api/model", json=change).status_code == 202
    until(lambda: served.worker.status.health.status == "ready")

    until_gone(group)  # what was killed is buried by process 1
    assert served.caption(picture()).status_code == 200


def test_a_server_whose_engine_dies_ends_the_worker_and_all_inside_are_suspect(
    spawn: Spawn, standin: Standin, joycaption: Path, tmp_path: Path
) -> None:
    standin(hang_on=["red", "blue"], sicken_on=["yellow"])
    batch_file = tmp_path / "batch"
    arguments = ("--engine", "vllm", "--model", str(joycaption), "--batch-file", str(batch_file))
    child = spawn(*arguments, engine=False).ready()
    group = group_of(child.log.read_text())
    for key, colour in (("r", "red"), ("b", "blue")):
        child.client.post("/api/caption", content=picture(colour), headers=under(key))
    until(lambda: names(batch_file) == ["b", "r"])

    with suppress(httpx2.HTTPError):
        child.client.post("/api/caption", content=picture("yellow"), headers=under("y"))

    assert child.process.wait(DEADLINE_S) == 1
    assert names(batch_file) == ["b", "r", "y"]
    until_gone(group)

    second = spawn(*arguments, engine=False).ready()
    again = {key: second.client.get(f"/api/caption/{key}").json() for key in "rby"}
    assert all(answer["suspect"] for answer in again.values())


def test_a_server_that_dies_while_nothing_is_inside_ends_the_worker(
    spawn: Spawn, standin: Standin, joycaption: Path, tmp_path: Path
) -> None:
    standin()
    arguments = ("--engine", "vllm", "--model", str(joycaption))
    child = spawn(*arguments, "--batch-file", str(tmp_path / "batch"), engine=False).ready()
    group = group_of(child.log.read_text())

    kill_group(group)

    assert child.process.wait(DEADLINE_S) == 1
    assert not (tmp_path / "batch").exists()
    until_gone(group)


@pytest.mark.parametrize("end", ["killed", "closed", "terminated"])
def test_however_the_worker_ends_nothing_of_its_server_is_left(
    spawn: Spawn, standin: Standin, joycaption: Path, end: str
) -> None:
    standin(hang_on=["red"])
    child = spawn("--engine", "vllm", "--model", str(joycaption), engine=False).ready()
    group = group_of(child.log.read_text())
    child.client.post("/api/caption", content=picture("red"), headers=KEY)

    end_worker(child, end)

    child.process.wait(DEADLINE_S)
    until_gone(group)


def test_the_servers_key_is_in_no_log_and_no_argument(
    spawn: Spawn, standin: Standin, joycaption: Path, tmp_path: Path
) -> None:
    standin()
    arguments = ("--engine", "vllm", "--model", str(joycaption), "--log-level", "debug")
    child = spawn(*arguments, engine=False, env={"HF_TOKEN": "a-token-of-the-hub"}).ready()
    child.client.post("/api/caption", content=picture(), headers=KEY | {"Prefer": "wait=30"})
    group = group_of(child.log.read_text())

    processes = [p for p in Path("/proc").glob("[0-9]*") if group_number(p) == group]
    environs = [(p / "environ").read_bytes().split(b"\0") for p in processes]
    lines = [(p / "cmdline").read_bytes() for p in processes]
    keys = {v[13:] for e in environs for v in e if v.startswith(b"VLLM_API_KEY=")}

    (key,) = keys
    assert len(key) == 64
    assert len(processes) >= 3, "launcher, server, and the server's child"
    assert not any(key in line for line in lines)
    assert key.decode() not in child.log.read_text()
    assert not any(b"HF_TOKEN=a-token-of-the-hub" in environ for environ in environs)
    assert all(b"HF_HUB_OFFLINE=1" in environ for environ in environs)


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("<think>A dog?</think>\nA dog.", Answer("A dog.", 8, "stop")),
        ("<think>A dog? Perhaps", Answer("", 8, "length")),
    ],
)
def test_what_a_model_thinks_is_no_part_of_its_answer(written: str, answer: Answer) -> None:
    choice = {"message": {"content": written}, "finish_reason": "stop"}
    said = {"choices": [choice], "usage": {"prompt_tokens": 20, "completion_tokens": 9}}

    assert _outcome(Reply(200, json.dumps(said).encode()), 20) == answer


def under(key: str) -> dict[str, str]:
    return KEY | {"Idempotency-Key": key}


def names(batch_file: Path) -> list[str]:
    try:
        return sorted(json.loads(batch_file.read_text()))
    except FileNotFoundError:
        return []


def group_number(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[2])
    except OSError:
        return None


def kill_group(group: int) -> None:
    os.killpg(group, signal.SIGKILL)


def end_worker(child: Child, end: str) -> None:
    assert child.process.stdin is not None
    if end == "killed":
        child.process.kill()
    elif end == "closed":
        child.process.stdin.close()
    else:
        child.process.terminate()
