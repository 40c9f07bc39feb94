"""Drives a model of transformers: what all of its families have in common.

A family's engine is a small class on top, which says how its prompt is built and what of a row is
the answer. Loading, precision, checking, generating and trimming are here, once.

Invariance: a batch shares its settings and, where the architecture does not mix prompts, its prompt
text. Then each image gets in a batch what it gets alone, in float32
(tests/worker/test_conformance.py holds it for every family): what fills up a shorter row is masked
from attention and from penalties (`filling`). A row that loops is ended early, which changes no
other row.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from captiv.catalog import Architecture
from captiv.errors import WorkerRejected
from captiv.wire import Generation
from captiv_worker.engines import checks, quantised
from captiv_worker.engines.checkpoint import read_model, read_processor, together
from captiv_worker.engines.decoding import (
    PresencePenalty,
    drawing_from,
    is_seeded,
    settings,
    until_end,
)
from captiv_worker.engines.filling import fillings, own_tokens
from captiv_worker.engines.looping import LoopEnd
from captiv_worker.engines.runtime import Runtime, open_runtime
from captiv_worker.engines.sampling import drawing, row_keys
from captiv_worker.engines.spec import (
    Answer,
    EngineItem,
    EngineSpec,
    Failure,
    Loaded,
    Outcome,
    Progress,
)

_log = logging.getLogger(__name__)

_DEFAULT_NEW_TOKENS = 64
_PROBE_SIZES = ((64, 48), (48, 80))
"""Two pictures of different shape, on which a model is checked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A batch as the model takes it, still on the CPU."""

    inputs: Any
    """What the processor returned."""
    echoed: int = 0
    """How many tokens of a row that comes back are not new: the prompt, or what starts a text."""
    room: int | None = None
    """How many new tokens the model has positions for; None where there is no such limit."""
    keys: tuple[int, ...] = ()
    """What each row draws from, where the settings have a seed; see `sampling`."""
    prompts: tuple[str | None, ...] = ()
    """What each row answers. Without them no row is ended for looping; see `looping`."""


@dataclass(frozen=True, slots=True)
class Places:
    """The places for the image in each prompt of a batch: what the processor makes of them."""

    found: list[int]
    wanted: list[int]
    """How many the model fills."""


class TransformerEngine(ABC):
    """An Engine on transformers. A subclass names its model, and builds what it is asked with."""

    model_class: ClassVar[str] = "AutoModelForImageTextToText"
    unused: ClassVar[tuple[str, ...]] = ()
    """Patterns of weights that no caption depends on, which a checkpoint may lack."""
    keeps_prompt: ClassVar[bool] = False
    """Whether the prompt is the beginning of the caption, and stays in front of it."""
    ends_with_word: ClassVar[bool] = False
    """Whether an answer ends with a token that is text, such as a line break."""

    def __init__(self, spec: EngineSpec) -> None:
        assert spec.architecture is not None, "a family's engine needs its architecture"
        self.spec = spec
        self.path = Path(spec.path)
        self.architecture: Architecture = spec.architecture
        self.runtime: Runtime = None  # type: ignore[assignment]  # from load() on
        self.processor: Any = None
        self.model: Any = None

    # What the worker calls

    def load(self, progress: Progress) -> Loaded:
        """Read the weights onto the device, and check that they are asked rightly.

        Raises:
            ModelError: packages are missing, or the checkpoint is not what it should be.
        """
        progress("importing")
        self.runtime = open_runtime(self.spec)
        progress("reading")
        self.processor = self.read_processor()
        self.model = self.read_model()
        with together(self.path):
            self.prepare()
        progress("moving")
        with together(self.path), self.runtime.guarded():
            self._place()
        progress("checking")
        with together(self.path), self.runtime.guarded(), self.runtime.torch.inference_mode():
            self.check()
        return self._loaded()

    def kin(self, item: EngineItem) -> Hashable:
        """Return what the items of a batch must have in common, besides the settings."""
        return None if self.architecture.mixes_prompts else item.prompt

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Return one outcome an item, in their order."""
        with self.runtime.guarded(), self.runtime.torch.inference_mode():
            generation = items[0].generation
            if is_seeded(generation) and (generation.num_beams or 1) > 1:
                return [outcome for item in items for outcome in self._sampled_beams(item)]
            return self._generate(items)

    # What a family may say differently

    def read_processor(self) -> Any:
        """Return what turns pictures and texts into what the model takes."""
        return read_processor(self.runtime.transformers.AutoProcessor, self.path)

    def read_model(self) -> Any:
        """Return the model, on the CPU."""
        runtime = self.runtime
        cls = getattr(runtime.transformers, self.model_class)
        more = {}
        if runtime.quantised:
            more = quantised.arguments(
                runtime.torch,
                runtime.transformers,
                runtime.quantised,
                runtime.device,
                runtime.torch_dtype,
                self.architecture.left_alone,
            )
        return read_model(cls, self.path, runtime.torch_dtype, unused=self.unused, **more)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of this model."""
        return self.processor.tokenizer

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows."""
        return int(self.model.config.get_text_config(decoder=True).vocab_size)

    @property
    def ends(self) -> list[int]:
        """The tokens that end an answer."""
        found = self.model.generation_config.eos_token_id
        return [found] if isinstance(found, int) else list(found or ())

    @property
    def begin_token(self) -> int | None:
        """The token that a prompt has exactly once; None where it has none."""
        return None

    def image_places(self, inputs: Any) -> Places | None:
        """Return how many places each prompt has for its image; None where it has none."""
        return None

    def prepare(self) -> None:
        """Make the processor do what the model expects; saved ones often do not."""
        self.tokenizer.padding_side = self.architecture.padding_side

    @abstractmethod
    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return one batch as the model takes it."""

    def text(self, ids: list[int], prompt: str | None) -> str:
        """Return the words of these tokens, which answer this prompt."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def outcome(self, answer: Answer) -> Outcome:
        """Return what the worker answers where this is what the model wrote."""
        return answer

    # What all have in common

    def check(self) -> None:
        """Refuse a model that would be asked wrongly.

        Raises:
            ModelError: names what does not go together.
        """
        checks.check_vocabulary(self.tokenizer, self.vocabulary)
        checks.check_ends(self.ends, self.vocabulary)
        if not self.ends_with_word:
            checks.check_end_is_special(self.ends, self.tokenizer)
        checks.check_side(self.tokenizer, self.architecture.padding_side)
        images = [Image.new("RGB", size, (128, 128, 128)) for size in _PROBE_SIZES]
        for prompts in self._probes():
            self._check_asked(self.ask(images, prompts))
        self._check_trimmed(self.ask(images[:1], self.spec.prompts[:1]))

    def moved(self, inputs: Any) -> Any:
        """Return what the processor made on the model's device, its floats in the precision."""
        return inputs.to(self.model.device, self.runtime.torch_dtype)

    def generate(self, asked: Asked, generation: Generation, count: int) -> list[list[int]]:
        """Return one row of token ids a picture, the echoed ones in front.

        A row that was ended for looping is as long as it was then. Beam search runs without that:
        its rows are beams, which change places.
        """
        inputs = self.moved(asked.inputs)
        chosen = settings(generation, count)
        if asked.keys:
            chosen["do_sample"] = False
        if scoring := self._scoring(asked, generation):
            chosen["logits_processor"] = self.runtime.transformers.LogitsProcessorList(scoring)
        filled = fillings(asked.inputs, asked.echoed)
        if filled is not None:
            own_tokens(self.runtime.transformers, chosen, self.model.generation_config, filled)
        loops = LoopEnd(partial(self._written, asked), self.ends, asked.echoed)
        if asked.prompts and chosen["num_beams"] == 1:
            chosen["stopping_criteria"] = self.runtime.transformers.StoppingCriteriaList([loops])
        rows: list[list[int]] = self.model.generate(**inputs, **chosen).tolist()
        return loops.trimmed(rows)

    def _scoring(self, asked: Asked, generation: Generation) -> list[Any]:
        """Return captiv's own processors of scores: the penalty comes before any sampling."""
        scoring: list[Any] = []
        if generation.presence_penalty:
            scoring.append(PresencePenalty(generation.presence_penalty, asked.echoed))
        if asked.keys:
            scoring += drawing(self.runtime.transformers, generation, asked.keys)
        return scoring

    def _place(self) -> None:
        """Put the model onto its device; quantised, it was read there and cannot be moved."""
        self.model.eval()
        if self.runtime.quantised:
            quantised.check_quantised(self.model, self.architecture.left_alone)
        else:
            self.model.to(self.runtime.device)

    def _loaded(self) -> Loaded:
        attention = getattr(self.model.config, "_attn_implementation", None)
        _log.info("built attention=%s trust_remote_code=False", attention)
        first, largest = self.runtime.batches(self.model.get_memory_footprint())
        asked = self.spec.max_batch
        return Loaded(
            device=self.runtime.device,
            dtype=self.runtime.precision,
            max_batch=asked or first,
            largest_batch=None if asked else largest,
        )

    def _probes(self) -> list[list[str | None]]:
        """Return the prompts that are checked: each for all pictures and, where allowed, mixed."""
        asked: list[list[str | None]] = [[p] * len(_PROBE_SIZES) for p in self.spec.prompts]
        texts = [p for p in self.spec.prompts if p]
        if self.architecture.mixes_prompts and len(texts) > 1:
            asked.append([texts[0], texts[-1]])
        return asked

    def _check_asked(self, asked: Asked) -> None:
        ids = asked.inputs.get("input_ids")
        rows = ids.tolist() if ids is not None else None
        if rows is not None:
            if self.begin_token is not None:
                checks.check_begins_once(rows, self.begin_token)
            if "attention_mask" in asked.inputs:
                masks = asked.inputs["attention_mask"].tolist()
                checks.check_padding(masks, self.architecture.padding_side)
        places = self.image_places(asked.inputs)
        if places is not None:
            checks.check_places(places.found, places.wanted)
        checks.check_pixels(self.moved(asked.inputs), self.runtime.torch_dtype)

    def _check_trimmed(self, asked: Asked) -> None:
        """One picture and one token: on a CPU a large model takes a minute even for that."""
        ids = asked.inputs.get("input_ids") if asked.echoed > 1 else None
        prompts = None if ids is None else ids.tolist()
        greedy = Generation(temperature=0.0, num_beams=1)
        checks.check_echo(self.generate(asked, greedy, 1), prompts, asked.echoed)

    def _sampled_beams(self, item: EngineItem) -> list[Outcome]:
        (key,) = row_keys([item], item.generation.seed or 0)
        with drawing_from(self.runtime.torch, key, self.model.device):
            return self._generate([item])

    def _generate(self, items: Sequence[EngineItem]) -> list[Outcome]:
        generation = items[0].generation
        asked = self.ask([item.image for item in items], [item.prompt for item in items])
        wanted = generation.max_new_tokens or _DEFAULT_NEW_TOKENS
        filled = fillings(asked.inputs, asked.echoed) is not None
        mixed = filled or len({item.prompt for item in items}) > 1
        if asked.room is not None and asked.room < wanted and mixed and len(items) > 1:
            # The longest row would take its neighbours' room, and what they get alone.
            return [outcome for item in items for outcome in self._generate([item])]
        if asked.room is not None and asked.room < 1:
            message = (
                f"The prompt has {asked.echoed} tokens; the model reads "
                f"{asked.echoed + asked.room - 1}."
            )
            return [Failure(WorkerRejected.code, message)] * len(items)
        count = wanted if asked.room is None else min(wanted, asked.room)
        asked = replace(asked, prompts=tuple(item.prompt for item in items))
        if is_seeded(generation) and (generation.num_beams or 1) == 1:
            asked = replace(asked, keys=row_keys(items, generation.seed or 0))
        rows = self.generate(asked, generation, count)
        return [
            self.outcome(self._answer(row, asked.echoed, item.prompt))
            for row, item in zip(rows, items, strict=True)
        ]

    def _answer(self, row: list[int], echoed: int, prompt: str | None) -> Answer:
        """Return the answer in a row of token ids: trimmed by tokens, never by text."""
        new, finish = until_end(row[echoed:], self.ends)
        kept = row[:echoed] if self.keeps_prompt else []
        return Answer(self.text(kept + new, prompt), tokens=len(new), finish=finish)

    def _written(self, asked: Asked, number: int, row: list[int]) -> str:
        """Return what the answer of this row would be if it ended now."""
        return self._answer(row, asked.echoed, asked.prompts[number]).text
