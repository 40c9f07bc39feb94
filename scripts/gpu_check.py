"""Checks and measures captiv's engines on a GPU, with random weights: docs/benchmarks.md.

Written for a machine without network that has torch (2.11 or later), transformers (5.17 or later),
Pillow and pydantic; nothing of captiv need be installed. It prints tables in Markdown.

1. Tiny checkpoints of every family: each picture alone against all in one batch. In float32 the
   captions have to be equal, else the exit code is 1; in bfloat16 the share that is equal is told.
2. Models of full size (`--tiny`: the same small ones): batches grow as a worker's do, by what the
   memory holds.
3. Images a second by batch, against the limit that reading the language model's weights once a
   step sets: the bandwidth is measured here by a copy.

A part that breaks is told, and the others go on; the exit code is then 1. What there is no time
left for is named.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from captiv_worker.engines import Answer, EngineItem, EngineSpec, build_engine
from captiv_worker.engines.transformer import TransformerEngine
from captiv_worker.isolation import Watch, caption_batch
from captiv_worker.sizes import Need, Sizes
from PIL import Image, ImageDraw

from captiv.catalog import build_prompt, choose_source
from captiv.wire import Generation
from tests.worker.checkpoints import CHECKPOINTS, named

GREEDY = Generation(max_new_tokens=8, num_beams=1, temperature=0.0)
SHAPES = ((64, 48), (31, 97), (120, 40), (200, 200), (57, 33))
BATCHES = (1, 4, 16, 32, 64, 128)
ROUNDS = 3
"""The middle one of so many is told."""


@dataclass(frozen=True, slots=True)
class Full:
    """A model in its full size: what of the tiny checkpoint's files is changed."""

    variant: str
    config: dict[str, Any]
    processor: dict[str, Any] = field(default_factory=dict)


_JOYCAPTION = Full(
    "joycaption-beta-one",
    {
        "text_config": {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 128_256,
            "max_position_embeddings": 8192,
        },
        "vision_config": {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 384,
            "patch_size": 14,
        },
        "image_seq_length": 729,
    },
    {"size": {"height": 384, "width": 384}},
)
_QWEN = Full(
    "qwen3-vl-2b",
    {
        "text_config": {
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151_936,
            "max_position_embeddings": 8192,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_interleaved": True,
                "mrope_section": [24, 20, 20],
            },
        },
        "vision_config": {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "deepstack_visual_indexes": [5, 11, 17],
            "out_hidden_size": 2048,
            "num_position_embeddings": 2304,
        },
    },
    {"size": {"shortest_edge": 4096, "longest_edge": 1_310_720}},
)
FULL = (_JOYCAPTION, _QWEN)
"""As their authors' configurations have them; the weights are drawn."""


class Check:
    """What was found so far, and how long there is left."""

    def __init__(self, device: str, minutes: float, folder: Path) -> None:
        self.device, self.folder = device, folder
        self.wrong: list[str] = []
        self._end_s = time.monotonic() + 60 * minutes

    def run(self, what: str, needs_s: float, part: Callable[[], None]) -> None:
        """Run a part; tell if it breaks, or there is no time for it, and go on."""
        if self._end_s - time.monotonic() < needs_s:
            print(f"| {what} | no time was left |", flush=True)
            return
        try:
            part()
        except Exception as error:  # the other parts tell something all the same
            self.wrong.append(what)
            traceback.print_exc()
            said = str(error).partition("\n")[0].replace("|", "/")[:120]
            print(f"| {what} | **broke**: {type(error).__name__} {said} |", flush=True)
        gc.collect()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every part; return the exit code."""
    asked = _parser().parse_args(arguments)
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        check = Check(device, asked.minutes, Path(folder))
        gb_s = bandwidth_gb_s(device, 64 if asked.tiny else 4096)
        print(f"{machine(device)}; a copy moves {gb_s:,.0f} GB/s.\n")
        print("| checkpoint | float32, batch = single | bfloat16 |\n| --- | --- | --- |")
        quick = ("git-large", "qwen3-vl-2b")
        for checkpoint in CHECKPOINTS:
            if not asked.tiny or checkpoint.variant in quick:
                check.run(checkpoint.variant, 5, partial(alike, check, checkpoint.variant))
        print("\n| model, bfloat16 | figure | seconds a batch | images/s | of the limit |")
        print("| --- | --- | --- | --- | --- |")
        for full in FULL[-1:] if asked.tiny else FULL:
            part = partial(measure, check, full, gb_s, tiny=asked.tiny)
            check.run(full.variant, 0 if asked.tiny else 90, part)
    print(f"\n{'Broke or differed: ' + ', '.join(check.wrong) if check.wrong else 'All held.'}")
    return 1 if check.wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check")
    parser.add_argument("--tiny", action="store_true", help="small models only, within seconds")
    parser.add_argument("--minutes", type=float, default=7, help="begin nothing later")
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    return parser


def machine(device: str) -> str:
    """Return on what this runs."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    return f"{name}, torch {torch.__version__}, transformers {transformers.__version__}"


def bandwidth_gb_s(device: str, megabytes: int) -> float:
    """Return how many bytes a copy within the memory reads and writes in a second."""
    source = torch.ones(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    taken_s = [timed(device, lambda: target.copy_(source)) for _ in range(ROUNDS + 1)]
    return float(2 * source.numel() / min(taken_s) / 1e9)


def timed(device: str, work: Callable[[], object]) -> float:
    """Return how many seconds this takes, to its end on the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    start_s = time.monotonic()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.monotonic() - start_s


# Tiny checkpoints


def alike(check: Check, variant: str) -> None:
    """Print a row of the table: how many pictures get in a batch what they get alone."""
    cells = []
    path = built(check, variant)
    for dtype in ("float32", "bfloat16"):
        engine = loaded(engine_of(path, check.device, dtype))
        items = [EngineItem(p, engine.spec.prompts[0], GREEDY) for p in pictures(SHAPES)]
        alone = [engine.caption([item])[0] for item in items]
        equal = sum(a == b for a, b in zip(alone, together(engine, items), strict=True))
        if dtype == "float32" and equal < len(items):
            check.wrong.append(f"{variant} in a batch")
        cells.append(f"{equal} of {len(items)}")
    print(f"| {variant} | {' | '.join(cells)} |", flush=True)


def together(engine: TransformerEngine, items: Sequence[EngineItem]) -> list[Any]:
    """Caption all items in batches of those that may share one."""
    groups: dict[Any, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(engine.kin(item), []).append(number)
    found: list[Any] = [None] * len(items)
    for numbers in groups.values():
        outcomes = engine.caption([items[n] for n in numbers])
        for number, outcome in zip(numbers, outcomes, strict=True):
            found[number] = outcome
    return found


def pictures(sizes: Sequence[tuple[int, int]]) -> list[Image.Image]:
    """Return pictures of these sizes, none like another."""
    drawn = []
    for number, size in enumerate(sizes):
        picture = Image.linear_gradient("L").rotate(37 * number).resize(size).convert("RGB")
        ImageDraw.Draw(picture).ellipse((4, 4, 20 + number % 20, 28), fill=(number % 256, 90, 200))
        drawn.append(picture)
    return drawn


def built(check: Check, variant: str) -> Path:
    """Return the tiny checkpoint, written once."""
    path = check.folder / variant
    if not path.exists():
        named(variant).build(path)
    return path


def engine_of(path: Path, device: str, dtype: str) -> Any:
    """Return the engine that captiv drives this checkpoint with; nothing is read yet."""
    choice = choose_source(str(path), json.loads((path / "config.json").read_text()))
    family = choice.family
    return build_engine(
        EngineSpec(
            kind=family.architecture.engine,
            model=family.name,
            variant=choice.variant.name,
            path=str(path),
            device=device,
            dtype=dtype,
            architecture=family.architecture,
            prompts=(build_prompt(family),),
            system=family.system,
        )
    )


def loaded(engine: Any) -> TransformerEngine:
    """Return the engine with its model on the device, checked as a worker checks it."""
    assert isinstance(engine, TransformerEngine)
    engine.load(lambda _phase: None)
    return engine


# Full size


def measure(check: Check, full: Full, gb_s: float, *, tiny: bool) -> None:
    """Print how far batches grow, and what they give at each size."""
    engine = engine_of(resized(check, full, tiny=tiny), check.device, "bfloat16")
    if not tiny:
        engine.read_model = lambda: drawn(engine)
    start_s = time.monotonic()
    first = engine.load(lambda _phase: None)
    read_gb, all_gb = sizes_gb(engine.model)
    about = f"{full.variant}, {all_gb:.2f} GB"
    print(f"| {about} | loaded, checked | {time.monotonic() - start_s:.1f} | | |", flush=True)
    tokens = 4 if tiny else 64
    generation = Generation(max_new_tokens=tokens, min_new_tokens=tokens, temperature=1.0, seed=1)
    side = 64 if tiny else 384

    def items(count: int) -> list[EngineItem]:
        prompt = engine.spec.prompts[0]
        return [EngineItem(p, prompt, generation) for p in pictures([(side, side)] * count)]

    sizes = Sizes(first.max_batch, first.largest_batch)
    reached = grown(engine, sizes, items)
    print(f"| {full.variant} | batches grew {' → '.join(map(str, reached))} | | | |", flush=True)
    for batch in (n for n in BATCHES if n <= max(reached)):
        taken: list[Any] = items(batch)
        told: list[Any] = []
        rounds = 1 if tiny else ROUNDS
        each_s = sorted(
            timed(check.device, lambda: told.extend(engine.caption(taken)))  # noqa: B023
            for _ in range(rounds)
        )[rounds // 2]
        steps = max((a.tokens for a in told if isinstance(a, Answer)), default=tokens)
        share = steps * read_gb / gb_s / each_s
        figures = f"{each_s:.2f} | {batch / each_s:.1f} | {share:.0%}"
        print(f"| {full.variant} | batch {batch}, {steps} tokens | {figures} |", flush=True)


def grown(engine: Any, sizes: Sizes, items: Callable[[int], list[EngineItem]]) -> list[int]:
    """Caption until batches grow no more; return the sizes that went well, as they came."""
    reached: list[int] = []
    need = Need("alike")
    while True:
        count = sizes.of(need)
        watch = Watch(
            started=lambda _span: None,
            went_well=lambda span: sizes.went_well(need, len(span)),
            ran_out=lambda span: sizes.ran_out(need, len(span)),
        )
        caption_batch(engine, items(count), watch)
        reached.append(count)
        if sizes.of(need) <= count:
            return reached


def resized(check: Check, full: Full, *, tiny: bool) -> Path:
    """Return the folder of this model: the tiny one's files with the figures of its full size."""
    source = built(check, full.variant)
    if tiny:
        return source
    path = check.folder / f"{full.variant}-full"
    path.mkdir()
    for file in source.iterdir():
        if file.suffix != ".safetensors":
            (path / file.name).write_bytes(file.read_bytes())
    merge(path / "config.json", full.config)
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (path / name).exists():
            nested = name == "processor_config.json"
            merge(path / name, {"image_processor": full.processor} if nested else full.processor)
    return path


def merge(file: Path, changes: dict[str, Any]) -> None:
    """Change values of a file of JSON, however deep."""
    file.write_text(json.dumps(merged(json.loads(file.read_text()), changes)))


def merged(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `old` with the values of `changes`; a table in a table is merged, too."""
    both = {k: merged(old[k], v) for k, v in changes.items() if isinstance(v, dict) and k in old}
    return old | changes | both


def drawn(engine: Any) -> Any:
    """Return the model of this engine's config.json with drawn weights, made on its device."""
    runtime = engine.runtime
    config = transformers.AutoConfig.from_pretrained(engine.path)
    before = torch.get_default_dtype()
    torch.set_default_dtype(runtime.torch_dtype)
    try:
        with torch.device(runtime.device):
            model = transformers.AutoModelForImageTextToText.from_config(config)
    finally:
        torch.set_default_dtype(before)
    model.generation_config = transformers.GenerationConfig.from_pretrained(engine.path)
    return model.to(runtime.torch_dtype)


def sizes_gb(model: Any) -> tuple[float, float]:
    """Return what a step reads of the weights (no vision, one row of the embeddings), and all."""
    read = sum(
        weight.numel() * weight.element_size()
        for name, weight in model.named_parameters()
        if not any(part in name for part in ("vision", "visual", "projector", "embed_tokens"))
    )
    return read / 1e9, model.get_memory_footprint() / 1e9


if __name__ == "__main__":
    sys.exit(main())
