"""Drives models whose caption continues a beginning (BLIP).

The beginning, if there is one, is part of the caption, as a person expects: asked with "a
photography of", the answer is "a photography of a dog".

Invariance: BLIP's positions ignore padding, so a batch is right only without any; all items of a
batch have the same prompt text, hence the same length (tests/worker/test_prefix.py holds it).
Greedy and beam search then give each image what it gets alone. Sampling with a seed is done image
by image, each from that seed, because a batch draws its random numbers in turn.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from captiv.errors import ModelError, WorkerRejected
from captiv.wire import Generation
from captiv_worker.engines.spec import (
    Answer,
    DeviceLost,
    EngineItem,
    EngineSpec,
    Failure,
    Loaded,
    Outcome,
    OutOfMemory,
    Progress,
)

_GPU_BATCH = 32
_CPU_BATCH = 16
"""Of a small model: a batch saves the per-token overhead of Python, which is most of its time."""

_CPU_BATCH_LARGE = 4
_LARGE_BYTES = 200_000_000
"""From here a CPU is busy with the weights themselves, and a batch only adds waiting."""

_NO_MEMORY = ("out of memory", "DefaultCPUAllocator", "can't allocate memory")
_LOST = ("CUDA error", "device-side assert", "an illegal memory access")


class PrefixEngine:
    """BLIP, by transformers."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._torch: Any = None
        self._model: Any = None
        self._processor: Any = None

    def load(self, progress: Progress) -> Loaded:
        """Read the weights onto the device.

        Raises:
            ModelError: packages are missing, or the checkpoint is not what it should be.
        """
        progress("importing")
        self._torch, transformers = _import()
        device = _device(self._torch, self._spec.device)
        dtype = _dtype(self._torch, self._spec.dtype, device)
        if device == "cpu":
            self._torch.set_num_threads(max(1, _cores() - 1))
        progress("reading")
        path = Path(self._spec.path)
        self._processor = _read_processor(transformers, path)
        self._model = _read_model(transformers, path, getattr(self._torch, dtype))
        _check_ids(self._model.config.text_config, self._processor.tokenizer, path)
        progress("moving")
        with self._guarded():
            self._model.to(device).eval()
        size = self._spec.max_batch or _batch(device, self._model.get_memory_footprint())
        return Loaded(device=device, dtype=dtype, max_batch=size)

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Return one outcome an item, in their order."""
        first = items[0]
        seeded = bool(first.generation.temperature) and first.generation.seed is not None
        with self._guarded(), self._torch.inference_mode():
            if seeded:
                return [outcome for item in items for outcome in self._seeded(item)]
            return self._generate(items)

    def _seeded(self, item: EngineItem) -> list[Outcome]:
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with self._torch.random.fork_rng(devices=devices):
            self._torch.manual_seed(item.generation.seed)
            return self._generate([item])

    def _generate(self, items: Sequence[EngineItem]) -> list[Outcome]:
        prompt, generation = items[0].prompt, items[0].generation
        images = [item.image for item in items]
        texts = [prompt] * len(items) if prompt else None
        inputs = self._processor(images=images, text=texts, return_tensors="pt")
        given = inputs["input_ids"].shape[1] - 1 if prompt else 1
        room = self._model.config.text_config.max_position_embeddings - given
        if room < 1:
            message = f"The prompt has {given} tokens; the model reads {given + room - 1}."
            return [Failure(WorkerRejected.code, message)] * len(items)
        count = min(generation.max_new_tokens or 64, room)
        inputs = inputs.to(self._model.device, self._model.dtype)
        rows = self._model.generate(**inputs, **_settings(generation, count)).tolist()
        return [self._outcome(row, given) for row in rows]

    def _outcome(self, row: list[int], given: int) -> Answer:
        """Return the answer in a row of token ids, `given` of them the start and the prompt."""
        new, finish = row[given:], "length"
        end = self._model.config.text_config.sep_token_id
        if end in new:
            new, finish = new[: new.index(end)], "stop"
        text = self._processor.tokenizer.decode(row[:given] + new, skip_special_tokens=True)
        how: Literal["stop", "length"] = "stop" if finish == "stop" else "length"
        return Answer(text.strip(), tokens=len(new), finish=how)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Translate what torch raises where the device has no memory, or is gone."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            text = str(error)
            if isinstance(error, MemoryError) or any(mark in text for mark in _NO_MEMORY):
                if self._torch.cuda.is_available():
                    self._torch.cuda.empty_cache()
                raise OutOfMemory(text.partition("\n")[0][:200]) from error
            if any(mark in text for mark in _LOST):
                raise DeviceLost(text.partition("\n")[0][:200]) from error
            raise


def _import() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        from captiv_worker.hub import missing_packages

        raise missing_packages() from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return torch, transformers


def _device(torch: Any, asked: str) -> str:
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return next(name for name, there in has.items() if there)
    if not has[asked]:
        raise ModelError(
            f"This machine has no {asked} device that torch can use.",
            hint="Use --device auto, or install the build of torch for this GPU.",
        )
    return asked


def _dtype(torch: Any, asked: str, device: str) -> str:
    """Half precision on a GPU: bfloat16 from compute capability 8, float16 below."""
    if asked != "auto":
        return asked
    if device != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.get_device_capability()[0] >= 8 else "float16"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _batch(device: str, weight_bytes: int) -> int:
    if device != "cpu":
        return _GPU_BATCH
    return _CPU_BATCH if weight_bytes < _LARGE_BYTES else _CPU_BATCH_LARGE


def _read_processor(transformers: Any, path: Path) -> Any:
    try:
        return transformers.AutoProcessor.from_pretrained(path, local_files_only=True)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ...
        raise _unreadable(path, "processor", error) from error


def _read_model(transformers: Any, path: Path, dtype: Any) -> Any:
    try:
        model, report = transformers.BlipForConditionalGeneration.from_pretrained(
            path, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (MemoryError, OutOfMemory):
        raise
    except Exception as error:
        raise _unreadable(path, "weights", error) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"The weights in {path} lack {len(missing)} tensors, first {missing[0]}.",
            hint="The copy is damaged or of another model: fetch it again.",
        )
    if model.dtype != dtype:
        raise ModelError(f"The weights in {path} were read as {model.dtype}, not {dtype}.")
    return model


def _unreadable(path: Path, part: str, error: Exception) -> ModelError:
    said = " ".join(str(error).split())[:200]
    return ModelError(
        f"The {part} in {path} cannot be read: {said or type(error).__name__}.",
        hint="The copy is damaged or of another model: fetch it again.",
    )


def _check_ids(config: Any, tokenizer: Any, path: Path) -> None:
    """Refuse a tokenizer that does not have the tokens on which generation starts and stops."""
    for name in ("bos_token_id", "sep_token_id", "pad_token_id"):
        wanted = getattr(config, name, None)
        if wanted is None or not 0 <= wanted < config.vocab_size:
            raise ModelError(
                f"The configuration in {path} has {name} {wanted}; its vocabulary has "
                f"{config.vocab_size} tokens."
            )
    if len(tokenizer) > config.vocab_size:
        raise ModelError(
            f"The tokenizer in {path} has {len(tokenizer)} tokens, the model {config.vocab_size}.",
            hint="They are of different models: fetch the model again.",
        )
    if tokenizer.sep_token_id != config.sep_token_id:
        raise ModelError(
            f"In {path} the tokenizer ends a text with token {tokenizer.sep_token_id}, the model "
            f"with {config.sep_token_id}.",
            hint="They are of different models: fetch the model again.",
        )


def _settings(generation: Generation, max_new_tokens: int) -> dict[str, Any]:
    """Return what generate() is called with. Greedy unless there is a temperature or more beams."""
    settings: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "num_beams": generation.num_beams or 1,
        "do_sample": bool(generation.temperature),
    }
    if generation.min_new_tokens:
        settings["min_new_tokens"] = min(generation.min_new_tokens, max_new_tokens)
    if generation.repetition_penalty not in (None, 1.0):
        settings["repetition_penalty"] = generation.repetition_penalty
    if generation.temperature:
        settings["temperature"] = generation.temperature
        settings["top_k"] = generation.top_k if generation.top_k is not None else 0
        settings["top_p"] = generation.top_p if generation.top_p is not None else 1.0
    return settings
