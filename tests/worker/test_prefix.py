"""The real engine over random weights: right pictures, right prompts, right ends."""

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from captiv_worker.engines import (
    Answer,
    ContinuousEngine,
    Engine,
    EngineItem,
    EngineSpec,
    OutOfMemory,
    build_engine,
)
from captiv_worker.engines.checkpoint import read_part
from captiv_worker.hub import is_whole
from captiv_worker.loader import spec_of
from PIL import Image

from captiv.catalog import choose_source
from captiv.errors import ModelError
from captiv.testing.scenes import scenes
from captiv.wire import Generation

from .checkpoints import PathOf, named
from .conftest import Serve

GREEDY = Generation(max_new_tokens=8, num_beams=1, temperature=0.0)
COLOURS = ("red", "blue", "yellow", "black", "white", "cyan", "green")


def spec(path: Path) -> EngineSpec:
    choice = choose_source(str(path), json.loads((path / "config.json").read_text()))
    return replace(spec_of(choice, path), device="cpu")


def loaded(path: Path) -> Engine:
    engine = build_engine(spec(path))
    assert not isinstance(engine, ContinuousEngine)
    engine.load(lambda _phase: None)
    return engine


@pytest.fixture(scope="module")
def engine(tiny_blip: Path) -> Engine:
    return loaded(tiny_blip)


def items(generation: Generation = GREEDY, prompt: str | None = None) -> list[EngineItem]:
    return [
        EngineItem(Image.linear_gradient("L").convert("RGB").rotate(40 * n), prompt, generation)
        if n % 2
        else EngineItem(Image.new("RGB", (40 + n, 32), colour), prompt, generation)
        for n, colour in enumerate(COLOURS)
    ]


def answers(engine: Engine, asked: Sequence[EngineItem]) -> list[Answer]:
    outcomes = engine.caption(asked)
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Answer)]


@pytest.mark.slow
@pytest.mark.parametrize("prompt", [None, "a photography of"])
@pytest.mark.parametrize("beams", [1, 3])
def test_an_image_gets_in_a_batch_what_it_gets_alone(
    engine: Engine, prompt: str | None, beams: int
) -> None:
    asked = items(GREEDY.model_copy(update={"num_beams": beams}), prompt)

    together = answers(engine, asked)

    assert together == [answers(engine, [item])[0] for item in asked]
    assert len({answer.text for answer in together}) > 1


def test_the_caption_begins_with_the_prompt(engine: Engine) -> None:
    for answer in answers(engine, items(prompt="a photography of")):
        assert answer.text.startswith("a photography of")
        assert answer.tokens <= 8


def test_an_answer_that_reaches_its_limit_says_so(engine: Engine) -> None:
    for answer in answers(engine, items(GREEDY.model_copy(update={"max_new_tokens": 1}))):
        assert (answer.finish, answer.tokens) in {("length", 1), ("stop", 0)}


def test_a_seed_gives_the_same_samples_in_any_batch(engine: Engine) -> None:
    sampled = Generation(max_new_tokens=8, temperature=1.5, top_p=0.9, top_k=20, seed=5)
    asked = items(sampled)

    together = answers(engine, asked)

    assert together == [answers(engine, [item])[0] for item in reversed(asked)][::-1]
    other = [EngineItem(i.image, None, sampled.model_copy(update={"seed": 6})) for i in asked]
    assert answers(engine, other) != together


def test_a_prompt_that_fills_the_model_is_refused_in_words(engine: Engine) -> None:
    outcome = engine.caption(items(prompt="dog " * 40)[:1])[0]

    assert not isinstance(outcome, Answer)
    assert outcome.code == "invalid_request"
    assert "tokens" in outcome.message


def test_a_long_prompt_takes_nothing_from_its_neighbours(checkpoint_path: PathOf) -> None:
    """GIT mixes prompts, and reads 64 tokens here, the caption's included."""
    engine = loaded(checkpoint_path(named("git-large")))
    texts = ["a photo of", "dog " * 60, "dog " * 80, "a cat"]
    asked = [replace(item, prompt=text) for item, text in zip(items(), texts, strict=False)]

    together = engine.caption(asked)

    assert together == [engine.caption([item])[0] for item in asked]
    assert [isinstance(outcome, Answer) for outcome in together] == [True, True, False, True]
    assert [o.tokens for o in together if isinstance(o, Answer)] == [8, 3, 8]


def test_a_local_directory_is_served_under_its_own_name(tiny_blip: Path, serve: Serve) -> None:
    served = serve(engine="auto", model=str(tiny_blip))
    out = io.BytesIO()
    Image.new("RGB", (50, 40), "red").save(out, "PNG")

    answer = served.caption(out.getvalue(), mode="photo", generation={"max_new_tokens": 5})

    assert answer.status_code == 200, answer.text
    reply = answer.json()
    assert (reply["model"], reply["variant"]) == ("blip", "blip-large")
    assert reply["caption"].startswith("a photography of")
    health = served.client.get("/health").json()
    assert (health["device"], health["dtype"], health["max_batch"]) == ("cpu", "float32", 16)


@pytest.mark.slow
def test_the_built_in_model_tells_what_is_drawn(serve: Serve) -> None:
    served = serve(engine="auto", model="shapes")
    drawn = list(scenes(seed=5, count=3))

    told = []
    for _, image in drawn:
        out = io.BytesIO()
        image.save(out, "PNG")
        told.append(served.caption(out.getvalue()).json()["caption"])

    assert told == [scene.caption for scene, _ in drawn]


def damaged(tiny_blip: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "damaged"
    shutil.copytree(tiny_blip, copy)
    return copy


def change(path: Path, *names: str, value: object) -> None:
    config = json.loads(path.read_text())
    inner = config
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = value
    path.write_text(json.dumps(config))


def test_a_checkpoint_that_lacks_weights_does_not_load(tiny_blip: Path, tmp_path: Path) -> None:
    path = damaged(tiny_blip, tmp_path)
    change(path / "config.json", "text_config", "num_hidden_layers", value=3)

    with pytest.raises(ModelError, match="lack"):
        loaded(path)


def test_a_tokenizer_of_another_model_does_not_load(tiny_blip: Path, tmp_path: Path) -> None:
    path = damaged(tiny_blip, tmp_path)
    change(path / "config.json", "text_config", "sep_token_id", value=5)

    with pytest.raises(ModelError, match="ends a text with token"):
        loaded(path)


@pytest.mark.slow
def test_truncated_weights_do_not_load(tiny_blip: Path, tmp_path: Path) -> None:
    path = damaged(tiny_blip, tmp_path)
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    with pytest.raises(ModelError, match=r"weights .* cannot be read"):
        loaded(path)


def test_weights_that_the_memory_does_not_hold_are_not_called_damaged(tmp_path: Path) -> None:
    def read() -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(OutOfMemory, match="Tried to allocate"):
        read_part("weights", tmp_path, read)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError("There is no file. If you were trying to load it from"),
            "read: There is no file.",
        ),
        (OSError("It is not in .. anywhere. Try"), "read: It is not in .. anywhere."),
        (KeyError("size"), "read: KeyError 'size'."),
        (ValueError(), "read: ValueError."),
        (ValueError("word " * 60), "read: word .* word …."),
    ],
)
def test_what_a_library_says_is_cut_to_its_first_sentence(
    tmp_path: Path, error: Exception, says: str
) -> None:
    def read() -> None:
        raise error

    with pytest.raises(ModelError, match=rf"{says}$"):
        read_part("weights", tmp_path, read)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "xpu"])
def test_a_device_that_is_not_there_is_said(tiny_blip: Path, device: str) -> None:
    import torch

    if torch.cuda.is_available() or torch.xpu.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ModelError, match=f"no {device} device"):
        build_engine(replace(spec(tiny_blip), device=device)).load(lambda _phase: None)


def test_a_saved_checkpoint_is_whole_until_a_file_is_missing(
    tiny_blip: Path, tmp_path: Path
) -> None:
    assert is_whole(tiny_blip)
    for name in ("model.safetensors", "tokenizer.json", "processor_config.json", "config.json"):
        path = tmp_path / name
        shutil.copytree(tiny_blip, path)
        (path / name).unlink()
        assert not is_whole(path), name
