"""Chat models: one beginning, each image token counted, and what would be asked wrongly refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from captiv_worker.engines import Answer, EngineItem, Failure, build_engine
from captiv_worker.engines.chat import ChatEngine
from captiv_worker.engines.filling import OwnTokens, fillings, own_tokens
from captiv_worker.engines.spec import Kin
from captiv_worker.loader import spec_of
from PIL import Image

from captiv.catalog import choose
from captiv.errors import ModelError
from captiv.wire import Generation

from .checkpoints import PathOf, llava, named
from .checkpoints.checkpoint import change
from .test_conformance import choice_of

GREEDY = Generation(max_new_tokens=8, num_beams=1, temperature=0.0, repetition_penalty=1.0)


def loaded(path: Path, **changes: Any) -> ChatEngine:
    engine = build_engine(replace(spec_of(choice_of(path), path), device="cpu", **changes))
    engine.load(lambda _phase: None)
    assert isinstance(engine, ChatEngine)
    return engine


@pytest.fixture(scope="module")
def joycaption(checkpoint_path: PathOf) -> Path:
    return checkpoint_path(named("joycaption-beta-one"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "llava"
    llava.llava_clip(path)
    return path


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    def copy(path: Path) -> Path:
        return Path(shutil.copytree(path, tmp_path / "joycaption-copy"))

    return copy


def ids_of(engine: ChatEngine, prompt: str) -> list[int]:
    found: list[int] = engine.ask([grey()], [prompt]).inputs["input_ids"][0].tolist()
    return found


def grey(size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, (128, 128, 128))


def caption(engine: ChatEngine, image: Image.Image, prompt: str | None) -> Answer | Failure:
    return engine.caption([EngineItem(image, prompt, GREEDY)])[0]


def test_joycaption_is_asked_as_its_author_asks(joycaption: Path) -> None:
    engine = loaded(joycaption)
    system = engine.spec.system

    text = engine.tokenizer.decode(ids_of(engine, "Write a caption."))

    image = "<|reserved_special_token_69|>" * 16
    assert system.startswith("You are a helpful assistant and help users with any queries")
    assert text == (
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n<|reserved_special_token_70|>"
        f"{image}<|reserved_special_token_71|>Write a caption.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_joycaption_decodes_as_its_author_decodes() -> None:
    choice = choose("joycaption")
    assert choice is not None

    generation = choice.family.generation

    assert (generation.temperature, generation.top_p, generation.top_k) == (0.6, 0.9, 0)
    assert (generation.max_new_tokens, generation.num_beams) == (512, 1)
    assert choice.variant.source == "fancyfeast/llama-joycaption-beta-one-hf-llava"


def test_a_beginning_that_the_template_leaves_out_comes_from_the_tokenizer(clip: Path) -> None:
    engine = loaded(clip, system="")

    ids = ids_of(engine, "What is this?")

    assert ids.count(engine.tokenizer.bos_token_id) == 1
    assert ids.index(engine.tokenizer.bos_token_id) == 0


def test_clip_has_a_token_more_than_patches_and_drops_it_again(clip: Path) -> None:
    engine = loaded(clip, system="")

    assert engine.processor.num_additional_image_tokens == 1
    assert ids_of(engine, "What?").count(engine.processor.image_token_id) == 16
    assert isinstance(caption(engine, grey(), "What?"), Answer)


@pytest.mark.parametrize("key", ["patch_size", "vision_feature_select_strategy"])
def test_what_an_old_processor_file_does_not_say_is_taken_from_the_model(
    joycaption: Path, copied: Callable[[Path], Path], key: str
) -> None:
    path = copied(joycaption)
    change(path / "processor_config.json", **{key: None})

    assert caption(loaded(path), grey(), "What?") == caption(loaded(joycaption), grey(), "What?")


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("processor_config.json", {"patch_size": 29}, "patch_size 29, the model 14"),
        (
            "processor_config.json",
            {"vision_feature_select_strategy": "default"},
            "vision_feature_select_strategy default, the model full",
        ),
        ("processor_config.json", {"image_token": "<|eom_id|>"}, "image token .*, the model"),
        ("config.json", {"image_token_index": 3}, "image token .*, the model 3"),
        ("generation_config.json", {"eos_token_id": 321}, "ends an answer with token"),
    ],
)
def test_what_does_not_go_together_is_named(
    joycaption: Path,
    copied: Callable[[Path], Path],
    file: str,
    changes: dict[str, Any],
    says: str,
) -> None:
    path = copied(joycaption)
    change(path / file, **changes)

    with pytest.raises(ModelError, match=says):
        loaded(path)


def test_a_template_that_begins_a_text_twice_is_refused(
    joycaption: Path, copied: Callable[[Path], Path]
) -> None:
    path = copied(joycaption)
    template = path / "chat_template.jinja"
    template.write_text("{{ bos_token }}" + template.read_text())

    with pytest.raises(ModelError, match="begins 2 times"):
        loaded(path)


def test_a_template_that_loses_the_system_prompt_is_refused(
    joycaption: Path, copied: Callable[[Path], Path]
) -> None:
    path = copied(joycaption)
    template = path / "chat_template.jinja"
    text = template.read_text().replace(
        "{% for message in messages %}", "{% for message in messages if message.role == 'user' %}"
    )
    template.write_text(text)

    with pytest.raises(ModelError, match="does not put one image and one text"):
        loaded(path)


def test_a_template_that_always_opens_thoughts_is_refused(
    joycaption: Path, copied: Callable[[Path], Path]
) -> None:
    path = copied(joycaption)
    template = path / "chat_template.jinja"
    template.write_text(template.read_text() + "{% if add_generation_prompt %}<think>\n{% endif %}")

    with pytest.raises(ModelError, match="has the model think before each answer"):
        loaded(path)


def test_a_model_that_may_think_is_asked_not_to(
    joycaption: Path, copied: Callable[[Path], Path]
) -> None:
    path = copied(joycaption)
    template = path / "chat_template.jinja"
    thoughts = "<think>\n{% if enable_thinking is false %}\n</think>\n{% endif %}"
    template.write_text(
        template.read_text() + "{% if add_generation_prompt %}" + thoughts + "{% endif %}"
    )

    engine = loaded(path)

    prompt = engine.tokenizer.decode(ids_of(engine, "What is this?"))
    assert prompt.endswith("<think>\n</think>\n")


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("<think>A dog?</think>\nA dog.", Answer("A dog.", 8, "length")),
        ("<think>A dog? Perhaps", Answer("", 8, "length")),
        ("A dog.", Answer("A dog.", 8, "length")),
    ],
)
def test_what_a_model_thinks_is_no_part_of_its_answer(
    joycaption: Path, written: str, answer: Answer
) -> None:
    class Thinking(ChatEngine):
        def text(self, ids: list[int], prompt: str | None) -> str:
            return written

    engine = Thinking(replace(spec_of(choice_of(joycaption), joycaption), device="cpu"))
    engine.load(lambda _phase: None)

    assert caption(engine, grey(), "What is this?") == answer


def test_squares_of_another_size_than_the_model_sees_are_refused(
    joycaption: Path, copied: Callable[[Path], Path]
) -> None:
    path = copied(joycaption)
    config = json.loads((path / "processor_config.json").read_text())
    pixels = {**config["image_processor"], "size": {"height": 72, "width": 72}}
    change(path / "processor_config.json", image_processor=pixels)

    with pytest.raises(ModelError, match="image size 72, the model 58"):
        loaded(path)


def test_joycaption_shrinks_as_its_author_shrinks(joycaption: Path) -> None:
    assert loaded(joycaption).processor.image_processor.resample == Image.Resampling.LANCZOS


def test_a_prompt_that_holds_the_images_token_is_refused_in_words(checkpoint_path: PathOf) -> None:
    engine = loaded(checkpoint_path(named("smolvlm2-500m")))

    outcome = caption(engine, grey(), "What is <image>?")

    assert isinstance(outcome, Failure)
    assert (outcome.code, "<image>" in outcome.message) == ("invalid_request", True)


@pytest.mark.slow
def test_a_shape_that_the_model_cannot_read_fails_alone(checkpoint_path: PathOf) -> None:
    engine = loaded(checkpoint_path(named("qwen3-vl-2b")))
    items = [EngineItem(grey(size), "What?", GREEDY) for size in ((64, 48), (2020, 10), (64, 48))]

    first, strip, last = engine.caption(items)

    assert isinstance(first, Answer)
    assert first == last
    assert isinstance(strip, Failure)
    assert (strip.code, "2020x10" in strip.message) == ("image_unreadable", True)


def test_the_tokens_of_a_large_image_are_bounded(checkpoint_path: PathOf) -> None:
    path = checkpoint_path(named("qwen2.5-vl-3b"))
    engine = loaded(path)
    engine.processor.image_processor.size = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    engine.prepare()

    found = {engine.kin(EngineItem(grey(s), "", GREEDY)).image_tokens for s in _LARGE}

    assert 1200 < min(found) <= max(found) <= 1280


_LARGE = ((4000, 3000), (3000, 4000), (6000, 2000), (2000, 2000))


def test_a_batch_shares_its_prompt_and_fills_up_fewer_image_tokens(
    checkpoint_path: PathOf,
) -> None:
    engine = loaded(checkpoint_path(named("smolvlm2-500m")))

    def kin(size: tuple[int, int], prompt: str) -> Kin:
        return engine.kin(EngineItem(grey(size), prompt, GREEDY))

    assert kin((64, 64), "a") == kin((200, 200), "a")
    assert kin((64, 64), "a").image_tokens > kin((64, 32), "a").image_tokens
    assert kin((64, 32), "a").fills_up
    assert kin((64, 64), "a") != kin((64, 64), "b")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["qwen2.5-vl-3b", "smolvlm2-500m"])
def test_a_longer_row_takes_no_room_from_its_neighbours(
    checkpoint_path: PathOf, variant: str
) -> None:
    """The model has positions for its prompt and two tokens more, or a few more for a short one."""
    engine = loaded(checkpoint_path(named(variant)))
    items = [EngineItem(grey(size), "What?", GREEDY) for size in ((128, 128), (64, 16))]
    long, short = (engine.ask([i.image], [i.prompt]).echoed for i in items)
    engine.model.config.get_text_config(decoder=True).max_position_embeddings = long + 2

    together = engine.caption(items)

    assert long > short
    assert together == [engine.caption([item])[0] for item in items]
    assert [answer.tokens for answer in together if isinstance(answer, Answer)] == [2, 8]


@pytest.mark.parametrize("variant", ["qwen3-vl-2b", "qwen2.5-vl-3b", "smolvlm2-500m"])
def test_what_fills_up_a_row_is_no_token_of_it_to_a_penalty(
    checkpoint_path: PathOf, variant: str
) -> None:
    """Shown by what the penalty reads: the shorter row has no token that it lacks alone."""
    engine = loaded(checkpoint_path(named(variant)))
    images = [grey((128, 128)), grey((64, 16))]
    together, alone = engine.ask(images, ["What?"] * 2), engine.ask(images[1:], ["What?"])
    read: list[set[int]] = []

    def reads(ids: Any, scores: Any) -> Any:
        read.extend(set(row) for row in ids.tolist())
        return scores

    filled = fillings(together.inputs, together.echoed)
    ids = together.inputs["input_ids"]
    OwnTokens(reads, filled)(ids, None)
    OwnTokens(reads, filled)(ids.repeat_interleave(2, dim=0), None)

    pad = engine.tokenizer.pad_token_id
    own = set(alone.inputs["input_ids"][0].tolist())
    assert pad in ids[1].tolist()
    assert pad not in own
    assert filled.tolist() == [0, together.echoed - alone.echoed]
    assert read[1] == read[4] == read[5] == own


def test_a_batch_that_is_filled_up_is_asked_with_penalties_that_read_own_tokens(
    checkpoint_path: PathOf,
) -> None:
    engine = loaded(checkpoint_path(named("qwen2.5-vl-3b")))
    transformers, settings = engine.runtime.transformers, engine.model.generation_config
    assert settings.repetition_penalty == 1.05
    asked = engine.ask([grey((128, 128)), grey((64, 16))], ["What?"] * 2)
    chosen: dict[str, Any] = {"no_repeat_ngram_size": 3, "logits_processor": ["given"]}

    own_tokens(transformers, chosen, settings, fillings(asked.inputs, asked.echoed))

    *own, given = chosen["logits_processor"]
    assert [isinstance(each, OwnTokens) for each in own] == [True, True]
    assert given == "given"
    assert (chosen["repetition_penalty"], chosen["no_repeat_ngram_size"]) == (1.0, 0)
    assert fillings(engine.ask([grey()], ["What?"]).inputs, 1) is None


def test_a_word_that_begins_a_prompt_is_banned_by_what_was_written_alone() -> None:
    import torch
    import transformers

    chosen: dict[str, Any] = {"no_repeat_ngram_size": 2}
    own_tokens(transformers, chosen, transformers.GenerationConfig(), torch.tensor([2]))

    scores = chosen["logits_processor"](torch.tensor([[1, 1, 7, 3, 7]]), torch.zeros(1, 9))

    assert scores[0].isinf().nonzero().flatten().tolist() == [3]
