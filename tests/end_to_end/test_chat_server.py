"""A folder captioned by somebody's chat server: the installed command over real HTTP."""

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.responses import Response

from captiv.testing.chat import Call, ChatServer, answered, dropped, refused
from captiv.testing.engine import mean_colour
from tests.support import DRAINING, Ended, Home, finish, told, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COLOURS = ("red", "green", "blue", "yellow", "black", "white", "purple", "cyan")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    for colour in COLOURS:
        Image.new("RGB", (300, 200), colour).save(home.pictures / f"{colour}.png")
    return home


def generate(home: Home, server: ChatServer | str, *arguments: str, **env: Any) -> Ended:
    url = server if isinstance(server, str) else server.url
    return home.run(
        "caption", "generate", "--worker", url, "--protocol", "openai", *arguments, **env
    )


def assert_each_has_its_own(home: Home) -> None:
    captions = home.captions()
    assert sorted(captions) == sorted(f"{colour}.txt" for colour in COLOURS)
    for colour in COLOURS:
        assert f"mostly {colour}" in captions[f"{colour}.txt"], captions


def once(rule: Callable[[Call], Response]) -> Callable[[Call], Response | None]:
    """Answer the third call by the rule, and every other with a caption."""
    return lambda call: rule(call) if call.number == 2 else None


def colour_of(call: Call) -> str:
    return mean_colour(call.image)


def test_the_only_model_of_a_server_captions_with_a_plain_question(home: Home) -> None:
    with ChatServer(models=["org/some-vlm"]) as server:
        ended = generate(home, server, "--json")
        dry = generate(home, server, "--dry-run", "--json", "--overwrite")

    assert ended.code == 0, ended
    assert_each_has_its_own(home)
    assert len(server.calls) == len(COLOURS)
    assert {call.prompt for call in server.calls} == {"Describe this image."}
    assert {call.body["temperature"] for call in server.calls} == {0.0}
    assert dry.lines[0]["model"] == "org/some-vlm"
    assert dry.lines[0]["prompt"] == "Describe this image."
    assert dry.lines[0]["worker"] == server.url


def test_a_model_of_the_catalog_is_asked_as_captiv_knows_it(home: Home) -> None:
    names = ["text-only-model", "llama-joycaption-beta-one-hf-llava"]
    asked = ["--model", "joycaption", "--mode", "straightforward", "--length", "40"]
    asked += ["--prompt-options", "exclude_text,include_lighting"]
    with ChatServer(models=names) as server:
        dry = generate(home, server, *asked, "--dry-run", "--json")
        ended = generate(home, server, *asked)

    assert ended.code == 0, ended
    assert_each_has_its_own(home)
    assert "exclude_text and straightforward ask for the contrary" in ended.err
    call = server.calls[0]
    assert call.prompt == dry.lines[0]["prompt"]
    assert call.prompt is not None
    assert call.prompt.startswith("Write a straightforward caption for this image within 40 words.")
    assert "\u201cThis image is\u2026\u201d or similar phrasing. Do NOT mention any" in call.prompt
    assert call.system == dry.lines[0]["system"]
    assert str(call.system).startswith("You are a helpful assistant")
    assert {k: v for k, v in call.body.items() if k not in ("messages", "stream")} == {
        "model": "llama-joycaption-beta-one-hf-llava",
        "max_tokens": 512,
        "temperature": 0.6,
        "top_p": 0.9,
    }


def test_a_server_has_names_of_its_own_for_a_model_of_the_catalog(home: Home) -> None:
    with ChatServer(models=["first", "my-joy"]) as server:
        assert generate(home, server, "--model", "joycaption").code == 4
        named = generate(home, server, "--model", "joycaption", "--variant", "my-joy")
        assert named.code == 0, named
        server.models = ["alone"]
        alone = generate(home, server, "--model", "joycaption", "--overwrite")

    assert alone.code == 0, alone
    assert "alone as joycaption-beta-one" in alone.err
    assert [call.body["model"] for call in server.calls] == ["my-joy"] * 8 + ["alone"] * 8
    assert {call.system for call in server.calls} == {server.calls[0].system}


def test_a_prompt_of_ones_own_arrives_with_its_braces(home: Home) -> None:
    with ChatServer() as server:
        told = ("--prompt", 'As {"json": 1}, {who}?', "--prompt-variables", "who=Ada")
        ended = generate(home, server, *told, "--max-new-tokens", "33", "--temperature", "0.5")

    assert ended.code == 0, ended
    assert server.calls[0].prompt == 'As {"json": 1}, Ada?'
    assert server.calls[0].body["max_tokens"] == 33
    assert server.calls[0].body["temperature"] == 0.5


def test_of_several_models_one_has_to_be_named(home: Home) -> None:
    with ChatServer(models=["one", "two"]) as server:
        ended = generate(home, server)
        assert ended.code == 2
        assert "one, two" in ended.err
        wrong = generate(home, server, "--model", "three")
        assert wrong.code == 4
        assert "one, two" in wrong.err
        assert server.calls == []
        assert generate(home, server, "--model", "two").code == 0

    assert {call.body["model"] for call in server.calls} == {"two"}
    assert_each_has_its_own(home)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--num-beams", "3"], 2, "beams"),
        (["--no-repeat-ngram-size", "3"], 2, "Add --no-repeat-ngram-size 0"),
        (["--model", "blip"], 2, "no chat model"),
        (["--mode", "poetic"], 2, "has no mode 'poetic'"),
        (["--length", "short"], 2, "no lengths"),
        (["--prompt-options", "keep_pg"], 2, "no prompt option"),
        (["--variant", "x", "--model", "y"], 2, "--variant"),
        (["--runpod"], 2, "chat server only"),
        (["--protocol", "grpc"], 2, "captiv or openai"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    home: Home, arguments: list[str], code: int, says: str
) -> None:
    with ChatServer() as server:
        ended = generate(home, server, *arguments)

    assert ended.code == code, ended
    assert says in ended.err
    assert server.calls == []


def test_pictures_travel_in_clear_only_where_that_is_said(home: Home) -> None:
    ended = generate(home, "http://far.example:8000", "--model", "m")

    assert ended.code == 2
    assert "--insecure" in ended.err


def test_a_wrong_key_ends_the_run_and_the_same_command_goes_on_with_the_right_one(
    home: Home,
) -> None:
    with ChatServer(key="right") as server:
        refused_run = generate(home, server, "--model", "some-vlm", CAPTIV_WORKER_TOKEN="s3same")
        assert refused_run.code == 4
        assert "CAPTIV_WORKER_TOKEN" in refused_run.err
        assert "s3same" not in refused_run.out + refused_run.err
        assert home.captions() == {}
        kept = [path.read_bytes() for path in home.data.rglob("*") if path.is_file()]
        assert kept and not any(b"s3same" in content for content in kept)
        assert generate(home, server, "--model", "some-vlm", CAPTIV_WORKER_TOKEN="right").code == 0

    assert_each_has_its_own(home)


def test_with_a_server_that_is_not_there_no_run_is_made(home: Home) -> None:
    ended = generate(home, "http://127.0.0.1:9", "--model", "m")

    assert ended.code == 4
    assert "does not answer" in ended.err
    assert json.loads(home.run("queue", "status", "--json").out) == []


def test_a_server_that_takes_no_more_is_given_time(home: Home) -> None:
    turned_away: set[str] = set()

    def busy(call: Call) -> Response | None:
        """Turn each picture away once: in turns as 429 and as 503."""
        colour = colour_of(call)
        if colour in turned_away:
            return None
        turned_away.add(colour)
        return refused((429, 503)[call.number % 2], "slow down", retry_after="0.1")

    with ChatServer(rule=busy) as server:
        ended = generate(home, server)

    assert ended.code == 0, ended
    assert_each_has_its_own(home)
    assert len(server.calls) == 2 * len(COLOURS)


def test_what_repeats_the_prompt_or_the_system_prompt_is_tried_again(home: Home) -> None:
    said: set[str] = set()

    def echoing(call: Call) -> Response | None:
        colour = colour_of(call)
        if colour in said or colour not in ("red", "blue"):
            return None
        said.add(colour)
        repeated = call.prompt if colour == "red" else call.system
        return answered(f"{repeated} A plain {colour} picture.")

    with ChatServer(models=["joycaption-beta-one"], rule=echoing) as server:
        ended = generate(home, server, "--json")

    assert ended.code == 0, ended
    assert (ended.lines[-1]["tried_again"], ended.lines[-1]["degenerate"]) == (2, 0)
    assert_each_has_its_own(home)


def test_an_image_that_is_refused_among_others_fails_alone(home: Home) -> None:
    def picky(call: Call) -> Response | None:
        if colour_of(call) != "red":
            return None
        return refused(400, "This model's maximum context length is 512 tokens.")

    with ChatServer(rule=picky) as server:
        ended = generate(home, server, "--batch-size", "1", "--json")

    assert ended.code == 1, ended
    assert "red.txt" not in home.captions()
    assert len(home.captions()) == len(COLOURS) - 1
    assert any("too long for the model's context" in line.get("reason", "") for line in ended.lines)


def of(*colours: str) -> Callable[[Call], Response | None]:
    """Refuse the pictures of these colours."""
    return lambda call: refused(400, "no such pixels") if colour_of(call) in colours else None


def failures(ended: Ended) -> dict[str, str]:
    """Return the codes of the images that failed, by the name of the picture."""
    told = (line for line in ended.lines if line.get("status") == "failed")
    return {Path(line["path"]).name: line["code"] for line in told}


def test_a_refused_image_at_the_head_of_the_queue_fails_alone(home: Home) -> None:
    with ChatServer(rule=of("black", "blue")) as server:  # in the order of their names
        ended = generate(home, server, "--batch-size", "1", "--json")

    assert ended.code == 1, ended
    assert failures(ended) == {"black.png": "image_refused", "blue.png": "image_refused"}
    assert all("no such pixels" in line["reason"] for line in ended.lines if "reason" in line)
    assert len(home.captions()) == len(COLOURS) - 2


def test_a_refused_image_is_not_asked_for_again(home: Home) -> None:
    with ChatServer(rule=of("black")) as server:
        generate(home, server, "--batch-size", "1")
        asked = len(server.calls)
        again = generate(home, server, "--batch-size", "1", "--json")

        assert again.code == 1, again
        assert again.lines[-1]["not_tried"] == 1
        assert len(server.calls) == asked


def test_a_folder_of_nothing_but_a_refused_image_says_so(home: Home) -> None:
    for colour in COLOURS[1:]:
        (home.pictures / f"{colour}.png").unlink()
    with ChatServer(rule=of("red")) as server:
        ended = generate(home, server, "--json")

    assert ended.code == 1, ended
    assert failures(ended) == {"red.png": "image_refused"}


def test_three_refused_in_a_row_end_the_run_and_the_next_one_begins_with_others(
    home: Home,
) -> None:
    bad = ("black", "blue", "cyan", "green", "purple", "red")
    with ChatServer(rule=of(*bad)) as server:
        first = generate(home, server, "--batch-size", "1", "--json")
        asked = [colour_of(call) for call in server.calls]
        (run,) = json.loads(home.run("queue", "status", "--json").out)
        again: list[Ended] = []
        while not again or again[-1].code == 4:
            again.append(generate(home, server, "--batch-size", "1", "--json"))
        next_asked = colour_of(server.calls[len(asked)])

    assert first.code == 4, first
    assert "no such pixels" in first.err
    assert "3 different images in a row" in first.err
    assert (run["counts"]["pending"], run["counts"]["failed"]) == (len(COLOURS), 0)
    assert next_asked not in asked[:3]
    assert again[-1].code == 1, again
    assert len(again) <= 2, again
    failed = {name for ended in again for name in failures(ended)}
    assert failed == {f"{colour}.png" for colour in bad}
    assert sorted(home.captions()) == ["white.txt", "yellow.txt"]


def test_a_request_that_is_refused_whatever_the_image_charges_none(home: Home) -> None:
    with ChatServer(rule=lambda _: refused(400, "unknown field top_k")) as server:
        ended = generate(home, server, "--json")
        assert ended.code == 4, ended
        assert "unknown field top_k" in ended.err
        assert failures(ended) == {}
        server.rule = lambda _: None
        assert generate(home, server).code == 0

    assert_each_has_its_own(home)


def test_a_connection_that_is_lost_costs_one_more_answer_and_that_is_said(home: Home) -> None:
    with ChatServer(rule=once(lambda _: dropped())) as server:
        ended = generate(home, server)

    assert ended.code == 0, ended
    assert_each_has_its_own(home)
    assert len(server.calls) == len(COLOURS) + 1
    assert "paid twice" in ended.err


def test_a_failure_of_the_engine_is_tried_again_once(home: Home) -> None:
    with ChatServer(rule=once(lambda _: refused(500, "CUDA error"))) as server:
        ended = generate(home, server)

    assert ended.code == 0, ended
    assert_each_has_its_own(home)
    assert len(server.calls) == len(COLOURS) + 1


def test_a_server_that_only_fails_is_given_up_and_no_image_with_it(home: Home) -> None:
    for number in range(20):
        Image.new("RGB", (30, 20), "brown").save(home.pictures / f"more{number}.png")
    with ChatServer(rule=lambda _: refused(500, "CUDA error")) as server:
        ended = generate(home, server)
        assert ended.code == 4, ended
        server.rule = lambda _: None
        assert generate(home, server).code == 0

    assert len(home.captions()) == len(COLOURS) + 20


def test_an_interrupted_run_goes_on_without_asking_again_for_what_it_has(home: Home) -> None:
    with ChatServer() as server:
        assert generate(home, server, "--limit", "3").code == 0
        assert generate(home, server).code == 0

    assert_each_has_its_own(home)
    assert len(server.calls) == len(COLOURS)


def test_no_more_are_sent_at_once_than_was_allowed(home: Home) -> None:
    with ChatServer() as server:
        server.held = lambda _: server.most_at_once < 2
        assert generate(home, server, "--batch-size", "2").code == 0
        assert server.most_at_once == 2

    with ChatServer() as more:
        more.held = lambda _: more.most_at_once < 4
        assert generate(home, more, "--overwrite").code == 0


def test_an_image_over_which_the_server_is_always_lost_fails_alone(home: Home) -> None:
    deadly = ChatServer(rule=lambda call: dropped() if colour_of(call) == "red" else None)
    with deadly as server:
        ended = generate(home, server)

    assert ended.code == 1, ended
    assert sorted(home.captions()) == sorted(f"{c}.txt" for c in COLOURS if c != "red")
    assert sum(colour_of(call) == "red" for call in server.calls) <= 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["drained", "killed"])
def test_what_was_received_before_the_end_is_not_asked_for_again(
    home: Home, number: signal.Signals
) -> None:
    held = threading.Event()
    held.set()
    with ChatServer(held=lambda call: call.number >= 3 and held.is_set()) as server:
        asked = ["--worker", server.url, "--protocol", "openai", "--batch-size", "2"]
        process = home.start("caption", "generate", *asked)
        until(lambda: len(home.captions()) == 3, "the first captions")
        process.send_signal(number)
        if number is signal.SIGINT:
            told(process, DRAINING)
            held.clear()
        first = finish(process)
        held.clear()
        there = server.calls[:]
        received = len(home.captions())
        again = generate(home, server, "--batch-size", "2")

    assert first.code == (130 if number is signal.SIGINT else -number), first
    assert received < len(COLOURS)
    assert again.code == 0, again
    assert_each_has_its_own(home)
    lost = len(there) - received
    assert lost == 0 if number is signal.SIGINT else lost <= 2
    assert len(server.calls) <= len(COLOURS) + lost


def test_the_settings_say_where_and_what_and_a_model_that_does_not_chat_is_passed_over(
    home: Home,
) -> None:
    with ChatServer() as server:
        for setting in (f"worker.url={server.url}", "worker.protocol=openai"):
            assert home.run("config", "set", setting).code == 0
        assert home.run("config", "set", "model.default_model=blip").code == 0
        assert home.run("caption", "generate", "--limit", "1").code == 0
        assert home.run("config", "set", "model.default_model=joycaption").code == 0
        assert home.run("caption", "generate").code == 0

    prompts = [call.prompt for call in server.calls]
    assert prompts[0] == "Describe this image."
    assert set(prompts[1:]) == {"Write a detailed description for this image."}


def test_a_chat_server_that_is_taken_for_a_worker_is_told_from_one(home: Home) -> None:
    with ChatServer() as server:
        ended = home.run("caption", "generate", "--worker", server.url, CAPTIV_WORKER_TOKEN="k")

    assert ended.code == 4
    assert "--protocol openai" in ended.err
