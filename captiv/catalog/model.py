"""The values that describe a model family."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from captiv.wire import Generation, Tagging

CHAT: Final = "chat"
"""Engine of the chat models that the catalog knows by their kind, and of chat servers."""
DECLARED: Final = "declared"
"""Engine of chat models that are driven by what their checkpoint declares."""
_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)\}")

QUANTISED = ("8bit", "4bit")
"""Precisions in which the language model's weights are quantised, and nothing else is."""

DEVICE = r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$"
"""A device as a person names it."""
DEVICES = "auto, cpu, mps, cuda, cuda:N, xpu or xpu:N"
"""The same in words."""
DEVICE_LIST = r"^(all|DEVICE(,DEVICE)*)$".replace("DEVICE", f"({DEVICE.strip('^$')})")
"""Devices of one machine as a person names them, for a worker on each."""
DEVICE_LISTS = f"{DEVICES}; several with commas between, or all, for a worker on each"
"""The same in words."""

BUILTIN = "builtin:"
"""Prefix of a source whose weights are shipped inside the worker package."""


IMAGE_MEMORY_MB = 900
"""What decoded pictures may take in a process: with all else it needs, less than a gigabyte."""

ImageQuality = Literal["low", "standard", "high"]
"""How near a picture that is sent is to what was decoded (captiv.images.encode)."""


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What of an image the model can see, so that no more is sent.

    `square`: the model squashes to a square, so neither edge need be longer than `size_px`;
    `short`: it crops to a square, or may, so the short edge must keep `size_px`;
    `long`: it fits the picture into a square, so the long edge is enough (measured in
    docs/benchmarks.md; a panorama limited by its long edge loses 17 dB under a squashing model);
    `area`: it keeps the shape and bounds the pixels, so that a square of `size_px` is enough.
    """

    size_px: int
    rule: Literal["square", "short", "long", "area"] = "short"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network, how its checkpoint is recognised, and how the worker drives it.

    What is right in a batch was measured family by family (docs/models.md): a wrong side, or mixed
    prompts where none may be, give no error but worse captions.
    """

    model_type: str
    """`model_type` of the checkpoint's config.json."""
    engine: str
    """Which engine of the worker drives it."""
    padding_side: Literal["left", "right"] = "left"
    """On which side prompts of different length are filled up."""
    mixes_prompts: bool = False
    """Whether a batch may hold prompts of different length; else it shares one text."""
    text_types: tuple[str, ...] = ()
    """`model_type`s of the text_config that it is meant for; empty for any."""
    tower_types: tuple[str, ...] = ()
    """`model_type`s of the vision_config that it is meant for; empty for any."""
    image_tokens: tuple[int, ...] = ()
    """Image tokens that tell its checkpoints from others of this kind; empty where none does."""
    called: str = ""
    """What a source's name holds, which tells it as well."""
    vllm: bool = False
    """Whether the worker can drive it by vLLM, too."""
    files: tuple[str, ...] = ()
    """What its checkpoint consists of, where that is not config.json, a tokenizer and weights."""
    native: bool = True
    """Whether a checkpoint with code of its own has transformers' layout all the same."""
    overflows: bool = False
    """Whether float16 holds less than its activations reach: then it runs in others only."""
    left_alone: tuple[str, ...] = ()
    """Modules that 8 and 4 bit leave as they are: patterns from the start of a full name. Empty
    where it is not quantised."""

    def fits(self, config: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint with this config.json is of this architecture."""
        if config.get("model_type") != self.model_type or self._needs_code(config):
            return False
        halves = (("text_config", self.text_types), ("vision_config", self.tower_types))
        return all(not types or _type_of(config.get(half)) in types for half, types in halves)

    @property
    def chats(self) -> bool:
        """Whether it answers what it is asked, by a chat template: a chat server can serve it."""
        return self.engine in (CHAT, DECLARED)

    def is_told(self, source: str, config: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint that fits is told from others of this kind."""
        if not self.image_tokens:
            return True
        token = config.get("image_token_index", config.get("image_token_id"))
        return token in self.image_tokens or self.called in source.casefold()

    def _needs_code(self, config: Mapping[str, Any]) -> bool:
        """Whether its weights are laid out for code that it brings along."""
        return not self.native and "auto_map" in config


def _type_of(half: Any) -> Any:
    return half.get("model_type") if isinstance(half, Mapping) else None


@dataclass(frozen=True, slots=True)
class Variant:
    """One checkpoint of a family. What is None is as the family has it."""

    name: str
    source: str
    """Hub id, local directory, or `builtin:NAME`."""
    download_bytes: int | None = None
    vram_gb: Mapping[str, float] = field(default_factory=dict)
    """Memory in GB to caption at batch 1, by precision."""
    images_per_s: float | None = None
    """What a pod captions at least, as measured in docs/benchmarks.md; None until that was done."""
    note: str = ""
    architecture: Architecture | None = None
    image: ImagePolicy | None = None
    generation: Generation | None = None
    takes_prompt: bool | None = None


@dataclass(frozen=True, slots=True)
class Mode:
    """A named way of asking."""

    name: str
    prompt: str | None
    """None asks without a text."""
    description: str = ""
    by_count: str | None = None
    """The same with room for a number of words, at `{word_count}`; None where it has no lengths."""
    by_length: str | None = None
    """The same with room for a word of the family's `lengths`, at `{length}`."""
    trained: bool = True
    """Whether the model was trained on this text; one that was not may do, or may not."""
    variants: tuple[str, ...] = ()
    """The variants that have it; empty for all."""

    @property
    def has_lengths(self) -> bool:
        """Whether it can be asked for with a length."""
        return self.by_count is not None or self.by_length is not None


@dataclass(frozen=True, slots=True)
class Option:
    """A sentence that may be added to the prompt; `{name}` in it is a variable."""

    key: str
    text: str
    against: tuple[str, ...] = ()
    """Keys of options, and names of modes, that ask for the contrary."""

    @property
    def variables(self) -> tuple[str, ...]:
        """What has to be filled in."""
        return variables_in(self.text)


def variables_in(text: str) -> tuple[str, ...]:
    """Return the names that stand in braces, as variables do."""
    return tuple(_VARIABLE.findall(text))


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are asked for by one name."""

    name: str
    title: str
    architecture: Architecture
    variants: tuple[Variant, ...]
    default_variant: str
    modes: tuple[Mode, ...]
    """Of all variants; two may have a mode of the same name."""
    image: ImagePolicy
    generation: Generation
    options: tuple[Option, ...] = ()
    lengths: tuple[str, ...] = ()
    """How long a caption may be: words, and the numbers of words that it was trained on."""
    default_mode: str = "default"
    """How it is asked when nobody says how."""
    takes_prompt: bool = False
    """Whether a text of the user's own may be given."""
    tunes_take_prompt: bool = False
    """Whether a checkpoint of one's own may be given a text where the family's may not: a task."""
    system: str = ""
    """What a chat model is told before each prompt; empty for nothing."""
    tagging: Tagging | None = None
    """Which tags a tagger writes unless told otherwise, with every category that it has; None of a
    model that writes sentences."""
    licence: str = ""
    note: str = ""
    recognised: bool = True
    """Whether a local directory or hub id of its architecture is taken for one of this family."""
    scenes_only: bool = False
    """Whether it knows captiv's own drawn scenes and nothing else."""

    def variant(self, name: str) -> Variant | None:
        """Return the variant of that name, or None."""
        return next((v for v in self.variants if v.name == name), None)

    def mode(self, name: str) -> Mode | None:
        """Return the mode of that name, or None."""
        return next((m for m in self.modes if m.name == name), None)

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """Return every architecture that a variant has."""
        return tuple(dict.fromkeys(self.of(v).architecture for v in self.variants))

    def of(self, variant: Variant) -> "Family":
        """Return the family as this variant of it is: its architecture, modes and settings."""
        return replace(
            self,
            architecture=variant.architecture or self.architecture,
            modes=tuple(m for m in self.modes if not m.variants or variant.name in m.variants),
            image=variant.image or self.image,
            generation=variant.generation or self.generation,
            takes_prompt=(
                self.takes_prompt if variant.takes_prompt is None else variant.takes_prompt
            ),
        )

    def like(self, config: Mapping[str, Any]) -> Variant | None:
        """Return the variant that a checkpoint with this config.json is like, the default first."""
        return next(
            (v for v in self._default_first() if self.of(v).architecture.fits(config)), None
        )

    def precision(self, dtype: str) -> str:
        """Return a default precision as this family has it: auto where it does not run in that.

        A tagger runs in what its file holds.
        """
        if self.tagging is not None or (dtype == "float16" and self.architecture.overflows):
            return "auto"
        return "auto" if dtype in QUANTISED and not self.architecture.left_alone else dtype

    def image_of(self, name: str) -> ImagePolicy:
        """Return what the variant of that name sees; of another checkpoint, what any may see.

        One that is like those which squash may crop.
        """
        variant = self.variant(name)
        if variant is not None:
            return self.of(variant).image
        policies = [self.of(v).image for v in self._default_first()] or [self.image]
        most = max(policies, key=lambda policy: policy.size_px)
        return replace(most, rule="short") if most.rule == "square" else most

    def _default_first(self) -> list[Variant]:
        return sorted(self.variants, key=lambda variant: variant.name != self.default_variant)
