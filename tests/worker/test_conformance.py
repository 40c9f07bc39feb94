"""Every architecture over a tiny checkpoint of its own classes, through captiv's normal path.

What is found is recorded as properties of the tests, from which `scripts/models_table.py` makes the
table of docs/models.md. A family joins by a checkpoint in tests/worker/checkpoints.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from captiv_worker.engines import Answer, EngineItem, build_engine
from captiv_worker.engines.spec import Kin
from captiv_worker.engines.transformer import TransformerEngine
from captiv_worker.loader import spec_of
from PIL import Image, ImageDraw

from captiv.catalog import Family, ModelChoice, build_prompt, choose, choose_source
from captiv.wire import Generation

from .checkpoints import CHECKPOINTS, Checkpoint, PathOf
from .conftest import Serve, until

GREEDY = Generation(max_new_tokens=8, num_beams=1, temperature=0.0)
SIZES = ((64, 48), (31, 97), (120, 40), (200, 200), (57, 33))
CLOSE = 1e-4
"""Largest difference of logits that the order of sums in float32 may make."""

Record = Callable[[str, object], None]


def pictures() -> list[Image.Image]:
    """Return five pictures of five sizes, none like another."""
    drawn = []
    colours = ("red", "blue", "yellow", "black", "cyan")
    for number, (size, colour) in enumerate(zip(SIZES, colours, strict=True)):
        picture = Image.linear_gradient("L").rotate(70 * number).resize(size).convert("RGB")
        ImageDraw.Draw(picture).ellipse((4, 4, 20 + 3 * number, 28), fill=colour)
        drawn.append(picture)
    return drawn


def shapes() -> list[Image.Image]:
    """Return 42 pictures of as many shapes, between 1:8 and 8:1, none like another."""
    dice = random.Random(7)
    sizes = {(dice.randint(30, 240), dice.randint(30, 240)) for _ in range(42)}
    drawn = []
    for number, size in enumerate(sorted(sizes)):
        picture = Image.linear_gradient("L").rotate(31 * number).resize(size).convert("RGB")
        colour = tuple(dice.randrange(256) for _ in range(3))
        ImageDraw.Draw(picture).ellipse((2, 2, 9 + number, 28), fill=colour)
        drawn.append(picture)
    dice.shuffle(drawn)
    return drawn


def choice_of(path: Path) -> ModelChoice:
    return choose_source(str(path), json.loads((path / "config.json").read_text()))


def loaded(path: Path, dtype: str = "float32") -> TransformerEngine:
    engine = build_engine(replace(spec_of(choice_of(path), path), device="cpu", dtype=dtype))
    engine.load(lambda _phase: None)
    assert isinstance(engine, TransformerEngine)
    return engine


@pytest.fixture(scope="module")
def engines(checkpoint_path: PathOf) -> Iterator[Callable[..., Any]]:
    """Load each checkpoint once."""
    kept: dict[str, TransformerEngine] = {}

    def engine(checkpoint: Checkpoint) -> TransformerEngine:
        if checkpoint.variant not in kept:
            kept[checkpoint.variant] = loaded(checkpoint_path(checkpoint))
        return kept[checkpoint.variant]

    yield engine


Engines = Callable[[Checkpoint], TransformerEngine]


@pytest.fixture(params=CHECKPOINTS, ids=lambda c: c.variant)
def checkpoint(request: pytest.FixtureRequest, record_property: Record) -> Checkpoint:
    record_property("checkpoint", request.param.variant)
    found: Checkpoint = request.param
    return found


def asked(prompts: Sequence[str | None], generation: Generation = GREEDY) -> list[EngineItem]:
    return [
        EngineItem(picture, prompt, generation)
        for picture, prompt in zip(pictures(), cycle(prompts), strict=False)
    ]


def answers(engine: TransformerEngine, items: Sequence[EngineItem]) -> list[Answer]:
    outcomes = engine.caption(items)
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Answer)]


def alone(engine: TransformerEngine, items: Sequence[EngineItem]) -> list[Answer]:
    return [answers(engine, [item])[0] for item in items]


def logits(engine: TransformerEngine, items: Sequence[EngineItem]) -> list[Any]:
    """Return one tensor an item: the scores of every token at every step until its end."""
    import torch

    with torch.inference_mode():
        ask = engine.ask([i.image for i in items], [i.prompt for i in items])
        written = engine.model.generate(
            **engine.moved(ask.inputs),
            max_new_tokens=6,
            do_sample=False,
            num_beams=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
    steps = torch.stack(written.logits, dim=1)
    counts = []
    for row in written.sequences[:, ask.echoed :].tolist():
        ends = [n for n, token in enumerate(row) if token in engine.ends]
        counts.append(ends[0] + 1 if ends else len(row))
    return [steps[n, :count] for n, count in enumerate(counts)]


def modes_of(family: Family) -> list[str]:
    """Return the family's modes; of a long list the default one, and those that differ most."""
    built = {mode.name: build_prompt(family, mode=mode.name) or "" for mode in family.modes}
    if len(built) <= 6:
        return list(built)
    by_length = sorted(built, key=lambda name: len(built[name]))
    return list(dict.fromkeys([family.default_mode, by_length[0], by_length[-1]]))


def prompts_of(checkpoint: Checkpoint, path: Path) -> list[str | None]:
    """Return what a person may ask with: the family's modes, and texts of one's own."""
    family = choice_of(path).family
    built = [build_prompt(family, mode=name) for name in modes_of(family)]
    return list(dict.fromkeys([*built, *checkpoint.prompts]))


def test_a_directory_is_known_and_loads(
    checkpoint: Checkpoint, engines: Engines, record_property: Record
) -> None:
    """It is taken for the variant that it is like, and every check at load holds."""
    engine = engines(checkpoint)

    named = choose(checkpoint.variant)
    assert named is not None
    assert engine.architecture == named.family.architecture
    family = choice_of(engine.path).family
    assert (family.name, family.modes) == (named.family.name, named.family.modes)
    record_property("loads", "yes")


@pytest.mark.slow
def test_an_image_gets_in_a_batch_what_it_gets_alone(
    checkpoint: Checkpoint, engines: Engines, record_property: Record
) -> None:
    engine = engines(checkpoint)
    distinct = 0
    for prompt in prompts_of(checkpoint, engine.path):
        items = asked([prompt])

        together = answers(engine, items)

        assert together == alone(engine, items)
        assert answers(engine, items[::-1]) == together[::-1]
        distinct = max(distinct, len({answer.text for answer in together}))
    assert distinct >= (3 if checkpoint.seen == "captions" else 1)
    record_property("single", "yes")


@pytest.mark.slow
def test_forty_shapes_mixed_in_batches_get_what_each_gets_alone(
    checkpoint: Checkpoint, engines: Engines
) -> None:
    """Where shapes have different numbers of tokens, rows are filled up; a penalty sees none."""
    engine = engines(checkpoint)
    prompt = prompts_of(checkpoint, engine.path)[-1]
    penalised = GREEDY.model_copy(update={"max_new_tokens": 4, "repetition_penalty": 1.3})
    items = [EngineItem(picture, prompt, penalised) for picture in shapes()]
    assert len({item.image.size for item in items}) >= 40

    together = [answer for part in (items[:7], items[7:]) for answer in answers(engine, part)]

    assert together == alone(engine, items)
    kins = [engine.kin(item) for item in items]
    if engine.architecture.engine == "chat":
        counts = {kin.image_tokens for kin in kins if isinstance(kin, Kin) and kin.fills_up}
        assert len(counts) >= (1 if engine.architecture.model_type == "llava" else 2)


@pytest.mark.slow
def test_its_own_settings_give_in_a_batch_what_they_give_alone(
    checkpoint: Checkpoint, engines: Engines
) -> None:
    """Beams, a penalty or a seed, as the variant has them; mixed prompts where they may mix."""
    engine = engines(checkpoint)
    named = choose(checkpoint.variant)
    assert named is not None
    own = named.family.generation.model_copy(update={"max_new_tokens": 8, "seed": 5})
    prompts = prompts_of(checkpoint, engine.path)
    mixed = [prompts] if engine.architecture.mixes_prompts else []
    for shared in ([prompts[0]], [prompts[-1]], *mixed):
        items = asked(shared, own)

        assert answers(engine, items) == alone(engine, items)


@pytest.mark.slow
def test_the_logits_of_a_batch_are_those_of_each_image(
    checkpoint: Checkpoint, engines: Engines, record_property: Record
) -> None:
    engine = engines(checkpoint)
    worst = 0.0
    for prompt in prompts_of(checkpoint, engine.path):
        items = asked([prompt])

        together = logits(engine, items)

        for row, item in zip(together, items, strict=True):
            single = logits(engine, [item])[0]
            assert row.shape == single.shape
            worst = max(worst, (row - single).abs().max().item())
        apart = min((together[0][0] - row[0]).abs().max().item() for row in together[1:])
        assert apart > 100 * CLOSE, "the picture makes no difference"
    assert worst < CLOSE
    record_property("worst_logit", f"{worst:.0e}")


def test_prompts_of_different_length_may_share_a_batch_where_the_catalog_says_so(
    checkpoint: Checkpoint, engines: Engines, record_property: Record
) -> None:
    engine = engines(checkpoint)
    prompts = prompts_of(checkpoint, engine.path)
    mixes = engine.architecture.mixes_prompts
    items = asked(prompts)
    if not mixes:
        assert len({engine.kin(item) for item in items}) == len(set(prompts[: len(items)]))
        record_property("mixes", "no")
        return

    assert len({engine.kin(replace(item, image=items[0].image)) for item in items}) == 1
    for row, item in zip(logits(engine, items), items, strict=True):
        assert (row - logits(engine, [item])[0]).abs().max().item() < CLOSE
    assert answers(engine, items) == alone(engine, items)
    record_property("mixes", "yes")


@pytest.mark.slow
def test_mixed_prompts_in_one_queue_stay_right(
    checkpoint: Checkpoint, engines: Engines, serve: Serve, record_property: Record
) -> None:
    """Through the worker's own door: one batch runs while the others wait and are grouped."""
    engine = engines(checkpoint)
    family = choice_of(engine.path).family
    ways = [{"mode": name} for name in modes_of(family)]
    ways += [{"prompt": prompt} for prompt in checkpoint.prompts if family.takes_prompt]
    served = serve(engine="auto", model=str(engine.path), permits=100, device="cpu")
    generation = GREEDY.model_dump(exclude_none=True)

    keys = {}
    for number, picture in enumerate(pictures()):
        for index, way in enumerate(ways):
            key = f"{number}-{index}"
            sent = served.caption(png(picture), key=key, wait=0, generation=generation, **way)
            assert sent.status_code in (200, 202), sent.text
            prompt = way.get("prompt") or build_prompt(family, mode=way.get("mode"))
            keys[key] = EngineItem(picture, prompt, GREEDY.over(family.generation))
    until(lambda: served.worker.permits.taken == 0)

    got = {key: served.again(key).json()["caption"] for key in keys}
    assert got == {key: answers(engine, [item])[0].text for key, item in keys.items()}
    record_property("queue", "yes")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_it_loads_and_captions_in_half_precision(
    checkpoint: Checkpoint,
    dtype: str,
    checkpoint_path: PathOf,
    record_property: Record,
) -> None:
    engine = loaded(checkpoint_path(checkpoint), dtype)
    prompt = build_prompt(choice_of(engine.path).family)

    assert len(answers(engine, asked([prompt]))) == len(SIZES)
    record_property("dtype", dtype)


def png(picture: Image.Image) -> bytes:
    from io import BytesIO

    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
