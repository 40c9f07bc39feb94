"""What is foretold of a prompt is what the chat engine makes: the text, its tokens, the pixels."""

import json
from collections.abc import Callable
from pathlib import Path

import jinja2
import pytest
from captiv_worker.engines.chat import ChatEngine
from captiv_worker.engines.dialects import Unfit
from captiv_worker.engines.foretold import Prompts
from captiv_worker.engines.sights import SEEN, sight_of
from PIL import Image

from captiv.catalog import FAMILIES, build_prompt, choose
from captiv.errors import ModelError

from .checkpoints import PathOf, llava, named
from .checkpoints.checkpoint import change
from .test_chat import loaded
from .test_conformance import pictures

VARIANTS = ("joycaption-beta-one", "qwen3-vl-2b", "qwen2.5-vl-3b", "clip")
SIZES = ((64, 48), (48, 80), (400, 60), (33, 33), (30, 310), (700, 500), (8, 8), (150, 10))


@pytest.fixture(scope="module", params=VARIANTS)
def engine(
    request: pytest.FixtureRequest,
    checkpoint_path: PathOf,
    tmp_path_factory: pytest.TempPathFactory,
) -> ChatEngine:
    if request.param == "clip":
        path = tmp_path_factory.mktemp("clip") / "llava"
        llava.llava_clip(path)
        return loaded(path, system="")
    return loaded(checkpoint_path(named(request.param)))


def test_a_prompt_has_the_text_and_the_tokens_that_the_chat_engine_gives_it(
    engine: ChatEngine,
) -> None:
    prompts = Prompts(engine.path, engine.spec.system)
    sight = sight_of(engine.path)
    choice = choose("joycaption")
    assert choice is not None

    for prompt in (None, "Describe it.", "  odd\n blanks ", build_prompt(choice.family)):
        for picture in pictures():
            ids = engine.ask([picture], [prompt]).inputs["input_ids"][0].tolist()
            foretold = prompts.of(prompt)

            assert foretold is not None
            assert foretold.tokens + sight.tokens(sight.fitted(picture).size) == len(ids)
            assert engine.tokenizer(foretold.text, add_special_tokens=False)["input_ids"] == [
                token
                for n, token in enumerate(ids)
                if token != engine.processor.image_token_id or token != ids[n - 1]
            ]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_picture_is_resized_as_the_chat_engine_resizes_it(
    engine: ChatEngine, size: tuple[int, int]
) -> None:
    picture = Image.linear_gradient("L").rotate(30).resize(size).convert("RGB")
    sight = sight_of(engine.path)
    pixels = engine.processor.image_processor

    fitted = sight.fitted(picture)

    assert sight.fitted(fitted).tobytes() == fitted.tobytes(), "a fitted one is left as it is"
    own = pixels(images=[picture], return_tensors="pt")["pixel_values"]
    again = pixels(images=[fitted], return_tensors="pt")["pixel_values"]
    assert own.shape == again.shape
    assert own.equal(again)
    assert sight.tokens(fitted.size) <= sight.most_tokens


def test_a_strip_that_the_model_cannot_read_is_refused(checkpoint_path: PathOf) -> None:
    sight = sight_of(checkpoint_path(named("qwen3-vl-2b")))

    for size in ((2020, 10), (1900, 10)):
        with pytest.raises(Unfit, match=f"{size[0]}x10"):
            sight.fitted(Image.new("RGB", size))


def test_a_large_picture_has_no_more_tokens_than_its_authors_advise(
    checkpoint_path: PathOf, tmp_path: Path
) -> None:
    path = checkpoint_path(named("qwen2.5-vl-3b"))
    for name in ("config.json", "processor_config.json"):
        (tmp_path / name).write_text((path / name).read_text())
    config = json.loads((path / "processor_config.json").read_text())
    pixels = {**config["image_processor"], "size": {"shortest_edge": 3136, "longest_edge": 10**7}}
    change(tmp_path / "processor_config.json", image_processor=pixels)

    sight = sight_of(tmp_path)

    assert sight.most_tokens == 1280
    assert 1200 < sight.tokens(sight.fitted(Image.new("RGB", (4000, 3000))).size) <= 1280


def test_a_prompt_that_holds_the_images_token_is_not_foretold(checkpoint_path: PathOf) -> None:
    prompts = Prompts(checkpoint_path(named("qwen3-vl-2b")), "")

    assert prompts.of("What is <|image_pad|>?") is None


def test_a_model_that_may_think_is_asked_not_to(checkpoint_path: PathOf, tmp_path: Path) -> None:
    path = checkpoint_path(named("qwen3-vl-2b"))
    for file in [*path.glob("*.json"), path / "chat_template.jinja"]:
        (tmp_path / file.name).write_text(file.read_text())
    template = tmp_path / "chat_template.jinja"
    plain = template.read_text()

    template.write_text(plain + "{% if enable_thinking is not false %}<think>\n{% endif %}")
    quick = Prompts(tmp_path, "")
    template.write_text(plain + "<think>\n")

    assert Prompts(tmp_path, "").begin_thinking
    assert not quick.begin_thinking
    assert "<think>" not in jinja2.Template(quick.for_chat()).render(
        messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}]}]
    )


@pytest.mark.parametrize("place", ["chat_template.json", "tokenizer_config.json"])
def test_the_template_is_found_wherever_a_checkpoint_keeps_it(
    checkpoint_path: PathOf, tmp_path: Path, place: str
) -> None:
    path = checkpoint_path(named("qwen3-vl-2b"))
    for file in path.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    template = (path / "chat_template.jinja").read_text()
    if not (tmp_path / place).exists():
        (tmp_path / place).write_text("{}")
    change(tmp_path / place, chat_template=template)

    assert Prompts(tmp_path, "").of("What?") == Prompts(path, "").of("What?")


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda p: (p / "chat_template.jinja").unlink(), "has no chat template"),
        (lambda p: (p / "chat_template.jinja").write_text("{% nonsense"), "cannot be read"),
        (lambda p: (p / "chat_template.jinja").write_text("hello"), "one image and one text"),
        (lambda p: (p / "tokenizer.json").unlink(), r"no tokenizer\.json"),
        (lambda p: change(p / "config.json", image_token_id=None), "no image token"),
    ],
)
def test_a_checkpoint_that_cannot_be_foretold_is_refused_in_words(
    checkpoint_path: PathOf, tmp_path: Path, break_it: Callable[[Path], object], says: str
) -> None:
    path = checkpoint_path(named("qwen3-vl-2b"))
    for file in [*path.glob("*.json"), path / "chat_template.jinja"]:
        (tmp_path / file.name).write_text(file.read_text())
    break_it(tmp_path)

    with pytest.raises(ModelError, match=says):
        Prompts(tmp_path, "")


def test_the_catalog_calls_vllms_whatever_the_worker_can_foretell() -> None:
    drivable = {a.model_type for f in FAMILIES for a in f.architectures if a.vllm}

    assert drivable == SEEN
