#!/usr/bin/env python3
"""Train `shapes`, the small captioner of drawn scenes, and measure how often it is right.

`shapes` is transformers' own BlipForConditionalGeneration, made small enough to ship (under 2 MB):
tests and first tries run the same code as with a large checkpoint, and the captions can be checked
word by word. It knows the scenes of captiv/testing/scenes.py and nothing else.

    scripts/train_shapes.py train FOLDER --seed 1
    scripts/train_shapes.py evaluate FOLDER --seed 100 --count 2000

Training sees fresh pictures only, each drawn at a random size, sometimes shrunk and sometimes
passed through JPEG, for that is what happens to a picture on its way to a worker. Muon trains the
matrices inside the layers and AdamW the rest: in trials of 500 steps the loss ended at 0.34, with
AdamW alone at 0.54.
"""

import argparse
import io
import itertools
import json
import random
import resource
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final, TypeVar

import torch
from PIL import Image
from torch.utils.data import DataLoader
from transformers import (
    AutoProcessor,
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    GenerationConfig,
)
from transformers.utils.logging import disable_progress_bar

from captiv.testing.scenes import draw, scene, scenes, words

SIDE_PX: Final = 64
MOST_TOKENS: Final = 128
CAPTION_TOKENS: Final = 10  # the longest caption has eight words; [DEC] and [SEP] enclose it
SPECIAL_TOKENS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
LAYER: Final = {"hidden_size": 96, "intermediate_size": 384, "num_attention_heads": 4}

BATCH: Final = 48
STEPS: Final = 3600
WARM_UP_STEPS: Final = 100
REPORT_STEPS: Final = 100
MEASURE_STEPS: Final = 600
MUON_RATE: Final = 5e-3
ADAMW_RATE: Final = 1.5e-3
DRAWN_PX: Final = (96, 128, 128, 160, 192, 256)
FILTERS: Final = (
    *(Image.Resampling.BICUBIC,) * 4,
    *(Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.BOX),
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One batch: `pixels` uint8 (BATCH, 3, SIDE_PX, SIDE_PX), `tokens` (BATCH, CAPTION_TOKENS)."""

    pixels: torch.Tensor
    tokens: torch.Tensor


class Lessons:
    """The batches of a training run; batch `step` follows from the seed and `step` alone."""

    def __init__(self, seed: int, steps: int, vocabulary: dict[str, int]) -> None:
        self.seed = seed
        self.steps = steps
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Lesson:
        rng = random.Random(f"lesson/{self.seed}/{step}")
        rows, tokens = [], []
        for _ in range(BATCH):
            shown = scene(rng)
            picture = on_the_way(draw(shown, rng, rng.choice(DRAWN_PX)), rng)
            rows.append(torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8))
            tokens.append(self._tokens(shown.caption))
        pixels = torch.stack(rows).view(BATCH, SIDE_PX, SIDE_PX, 3).permute(0, 3, 1, 2)
        return Lesson(pixels.contiguous(), torch.tensor(tokens))

    def _tokens(self, caption: str) -> list[int]:
        tokens = ["[DEC]", *caption.split(), "[SEP]"]
        tokens += ["[PAD]"] * (CAPTION_TOKENS - len(tokens))
        return [self.vocabulary[token] for token in tokens]


def on_the_way(picture: Image.Image, rng: random.Random) -> Image.Image:
    """The picture as a model may get to see it: shrunk, through JPEG, then SIDE_PX square."""
    if rng.random() < 0.3:
        side_px = rng.randint(80, picture.width)
        picture = picture.resize((side_px, side_px), rng.choice(FILTERS))
    if rng.random() < 0.5:
        picture = through_jpeg(picture, rng.randint(85, 96))
    return picture.resize((SIDE_PX, SIDE_PX), rng.choice(FILTERS))


def through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """The picture after JPEG of this quality, colours at full resolution (4:4:4)."""
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=quality, subsampling=0)
    return Image.open(packed).convert("RGB")


def build_processor() -> BlipProcessor:
    """A tokenizer of the scenes' words, and pictures made SIDE_PX square by bicubic resizing."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocab.txt"
        vocabulary.write_text("\n".join((*SPECIAL_TOKENS, *words())) + "\n", encoding="utf-8")
        tokenizer = BertTokenizer.from_pretrained(folder, model_max_length=MOST_TOKENS)
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "eos_token": "[SEP]"})
    return BlipProcessor(
        BlipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}), tokenizer
    )


def build_model(tokenizer: BertTokenizer) -> BlipForConditionalGeneration:
    """An untrained model of about 0.8 million parameters."""
    ids = {
        "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = {
        **LAYER,
        **ids,
        "encoder_hidden_size": LAYER["hidden_size"],
        "num_hidden_layers": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MOST_TOKENS,
    }
    vision = {
        **LAYER,
        "num_hidden_layers": 4,
        "image_size": SIDE_PX,
        "patch_size": 8,
        "initializer_range": 0.02,  # the default of 1e-10 makes all pictures look alike
    }
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    del ids["sep_token_id"]
    model.generation_config = GenerationConfig(**ids)
    return model


class Muon:
    """Momentum whose update is brought near the closest orthogonal matrix.

    Keller Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, also the source of the
    coefficients; an update is as large as AdamW's would be: Liu et al. 2025, arXiv:2502.16982.
    torch.optim.Muon works in bfloat16, which took 0.46 s a step on a CPU where a forward and
    backward pass took 0.31 s; this one works in float32, all matrices of one shape at once: 0.05 s.
    """

    def __init__(self, matrices: list[torch.nn.Parameter], momentum: float = 0.95) -> None:
        alike: dict[tuple[int, ...], list[torch.nn.Parameter]] = defaultdict(list)
        for matrix in matrices:
            alike[tuple(matrix.shape)].append(matrix)
        self.groups = [(group, torch.zeros(len(group), *shape)) for shape, group in alike.items()]
        self.momentum = momentum

    def step(self, rate: float) -> None:
        """Move every matrix by its gradient, then forget the gradient."""
        for matrices, speed in self.groups:
            gradients = torch.stack([matrix.grad for matrix in matrices])
            speed.lerp_(gradients, 1 - self.momentum)
            updates = orthogonalised(gradients.lerp(speed, self.momentum))
            scale = 0.2 * max(updates.shape[1:]) ** 0.5
            for matrix, update in zip(matrices, updates, strict=True):
                matrix.data.sub_(update, alpha=rate * scale)
                matrix.grad = None


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """Five Newton-Schulz steps towards U Vᵀ of each matrix U S Vᵀ; shape (count, rows, columns)."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Optimizer:
    """Muon for the matrices inside the layers, AdamW for embeddings, biases, norms and the head."""

    def __init__(self, model: BlipForConditionalGeneration) -> None:
        hidden: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inside = ".layers." in name or ".layer." in name
            (hidden if inside and parameter.ndim == 2 else rest).append(parameter)
        self.muon = Muon(hidden)
        self.adamw = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.01)

    def step(self, pace: float) -> None:
        """Move all parameters by their gradients, at `pace` (0 to 1) of the full rates."""
        self.muon.step(MUON_RATE * pace)
        for group in self.adamw.param_groups:
            group["lr"] = ADAMW_RATE * pace
        self.adamw.step()
        self.adamw.zero_grad()


def train(folder: Path, seed: int, steps: int) -> None:
    """Train from nothing and save model and processor in the folder, as float16."""
    torch.manual_seed(seed)
    processor = build_processor()
    model = build_model(processor.tokenizer).train()
    optimizer = Optimizer(model)
    lessons = Lessons(seed, steps, processor.tokenizer.get_vocab())
    normalise = Normalise(processor)
    losses = []
    drawn = DataLoader(lessons, batch_size=None, num_workers=1, prefetch_factor=16)
    for step, lesson in enumerate(drawn):
        loss = lesson_loss(model, normalise(lesson.pixels), lesson.tokens)
        loss.backward()
        optimizer.step(pace(step, steps))
        losses.append(loss.item())
        if len(losses) == REPORT_STEPS:
            print(f"step={step + 1} loss={fmean(losses):.4f} cpu_s={cpu_seconds():.0f}", flush=True)
            losses.clear()
        if (step + 1) % MEASURE_STEPS == 0:
            print(measure(model.eval(), processor, seed=-1, count=300), flush=True)
            model.train()
    save(model.eval(), processor, folder)
    print(f"saved={folder} cpu_s={cpu_seconds():.0f}")


def pace(step: int, steps: int) -> float:
    """The factor on the learning rates: up in WARM_UP_STEPS, level, down to nothing from 40 %."""
    return min(1.0, (step + 1) / WARM_UP_STEPS, (steps - step) / (0.6 * steps))


class Normalise:
    """Bytes to what the model expects, as the processor does: float32, by mean and deviation."""

    def __init__(self, processor: BlipProcessor) -> None:
        self.mean = torch.tensor(processor.image_processor.image_mean).view(1, 3, 1, 1) * 255
        self.deviation = torch.tensor(processor.image_processor.image_std).view(1, 3, 1, 1) * 255

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - self.mean) / self.deviation


def lesson_loss(
    model: BlipForConditionalGeneration, pixels: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy of the next token, in nats."""
    padding = tokens == model.config.text_config.pad_token_id
    labels = tokens.masked_fill(padding, -100)
    loss: torch.Tensor = model(
        pixel_values=pixels, input_ids=tokens, attention_mask=(~padding).long(), labels=labels
    ).loss
    return loss


def cpu_seconds() -> float:
    """CPU time of this process, and of its children once they have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def save(model: BlipForConditionalGeneration, processor: BlipProcessor, folder: Path) -> None:
    """Write what from_pretrained loads, without traces of where it was made."""
    processor.save_pretrained(folder)
    model.half().save_pretrained(folder)
    settings_path = folder / "tokenizer_config.json"
    settings = json.loads(settings_path.read_text(encoding="utf-8"))
    for trace in ("is_local", "local_files_only"):
        settings.pop(trace, None)
    settings_path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)


@dataclass(frozen=True, slots=True)
class Score:
    """How many captions of each kind of scene were right, word for word."""

    asked: Counter[str]
    right: Counter[str]

    def __str__(self) -> str:
        asked, right = self.asked.total(), self.right.total()
        kinds = [f"{kind}={self.right[kind] / n:.2%}" for kind, n in sorted(self.asked.items())]
        return " ".join((f"exact={right / asked:.2%}", *kinds, f"pictures={asked}"))


def captions(
    model: BlipForConditionalGeneration, processor: BlipProcessor, pictures: list[Image.Image]
) -> list[str]:
    """Greedy captions of one batch."""
    inputs = processor(images=pictures, return_tensors="pt")
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens=16)
    return [text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)]


def measure(
    model: BlipForConditionalGeneration,
    processor: BlipProcessor,
    seed: int,
    count: int,
    size_px: int = 256,
    jpeg: bool = False,
) -> Score:
    """Caption `count` scenes of the seed, drawn at this size, and compare with the truth."""
    score = Score(Counter(), Counter())
    for batch in in_batches(scenes(seed, count, size_px), 32):
        pictures = [through_jpeg(picture, 95) if jpeg else picture for _, picture in batch]
        for (shown, _), caption in zip(batch, captions(model, processor, pictures), strict=True):
            score.asked[shown.kind] += 1
            score.right[shown.kind] += caption == shown.caption
    return score


def in_batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last may be shorter."""
    while batch := list(itertools.islice(items, size)):
        yield batch


def evaluate(folder: Path, seed: int, count: int, sizes_px: tuple[int, ...]) -> None:
    """Print how often a saved model is right, and whether a batch changes its captions."""
    processor = AutoProcessor.from_pretrained(folder)
    model = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    for size_px in sizes_px:
        for jpeg in (False, True):
            score = measure(model, processor, seed, count, size_px, jpeg)
            print(f"size_px={size_px} file={'jpeg' if jpeg else 'png'} {score}", flush=True)
    pictures = [picture for _, picture in scenes(seed, 96)]
    together = [
        caption
        for batch in in_batches(iter(pictures), 32)
        for caption in captions(model, processor, batch)
    ]
    alone = [caption for picture in pictures for caption in captions(model, processor, [picture])]
    same = sum(map(str.__eq__, together, alone))
    print(f"batch_of_32_equals_single={same}/{len(pictures)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train or measure the model `shapes`.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train from nothing and save")
    training.add_argument("folder", type=Path)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--steps", type=int, default=STEPS)
    measuring = commands.add_parser("evaluate", help="count right captions on fresh scenes")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--seed", type=int, default=100)
    measuring.add_argument("--count", type=int, default=2000)
    measuring.add_argument("--size-px", type=int, nargs="+", default=[128, 256, 512])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    disable_progress_bar()
    if asked.command == "train":
        train(asked.folder, asked.seed, asked.steps)
    else:
        evaluate(asked.folder, asked.seed, asked.count, tuple(asked.size_px))


if __name__ == "__main__":
    main()
