"""What travels between captiv and a worker: the same for a pod, a child process or anyone's box.

- ``GET /health`` (no token): `Health`; 503 until `ready`.
- ``POST /api/caption``: one image, as the raw body with a `CaptionRequest` in the `REQUEST_HEADER`
  (ASCII JSON, at most `MAX_REQUEST_HEADER_BYTES`), or as ``multipart/form-data`` (field ``image``,
  the rest as fields). ``Prefer: wait=N`` (RFC 7240): 200 `CaptionReply` within N seconds, else 202
  with a relative ``Location``.
- ``Idempotency-Key`` names the work, never the attempt; ``GET /api/caption/{key}`` asks again.
- Each answer about an image repeats its key, a caption the boot id and the model besides. One that
  repeats another is about other work: something in between mixes answers, and it is not believed.
- ``GET /api/models``: `ModelsReply`; ``GET /api/modes/{model}``: `ModesReply`.
- ``PUT /api/model``: a `ModelChange`; 202 with the `Health` that says `loading`, 200 if that model
  is loaded already, 409 `worker_busy` while captions are in flight.
- ``PUT /api/guard``: `GuardLimits` for the guard of the pod; 404 where there is none.
- ``PUT /carry/{sha256}``, of a pod that waits for captiv's code only: that code, at most
  `MAX_CARGO_BYTES`, and what the provider must not show (`SECRETS_HEADER`). 201, or 200 if it has
  it; 409 if it waits for other code.
- Errors: ``application/problem+json`` (RFC 9457), a `Problem` with one of captiv's error codes.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

PROTOCOL = 1
"""Version of this protocol; a worker that speaks another is refused in words."""

REQUEST_HEADER = "Captiv-Request"
KEY_HEADER = "Idempotency-Key"
WORKER_HEADER = "Captiv-Worker"
"""On every answer of a worker: its boot id. An answer without it came from a proxy."""

MAX_REQUEST_HEADER_BYTES = 4096
MAX_WAIT_S = 60.0
"""No answer is awaited longer: a proxy in front of a pod may cut a response that takes 100 s."""

MAX_IMAGE_BYTES = 32 * 1024 * 1024
"""Largest body a worker reads; captiv sends some 40 KB, curl may send an original."""

SECRETS_HEADER = "Captiv-Secrets"
"""Variables for a pod's worker, as JSON in base64."""

MAX_CARGO_BYTES = 4 * 1024 * 1024
"""Most that a pod takes as captiv's code."""

MAX_VALUE_BYTES = 64 * 1024
"""Largest JSON body: what is not an image."""

MAX_SCHEMA_CHARS = 64 * 1024
"""Longest schema of an answer."""

PROBLEM_TYPE = "application/problem+json"

GUARD_REFUSED = "guard_refused"
"""Code in `Health` of a pod that has to end and may not end itself: somebody else has to."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, slots=True)
class InChat:
    """How a server of OpenAI's chat protocol is told a setting."""

    names: tuple[str, ...] = ()
    """The protocol's own name, or else those that vLLM and llama.cpp give it; empty if none."""
    idle: float | None = None
    """The value that changes nothing. It isn't sent: a server may refuse a name that it lacks."""
    sampling: bool = False
    """Whether it only matters, and is only sent, where tokens are sampled."""


# The only place that declares these settings. The command line, the configuration file, the page,
# the worker's form and the chat protocol read name, type, bounds, title and description from here,
# so a new setting is a field here and the lines of an engine that obey it.
class Generation(_Value):
    """How the model decodes. None leaves a setting to the family's own default."""

    max_new_tokens: Annotated[
        int | None,
        Field(ge=1, le=4096, title="Most tokens", description="Longest caption, in tokens."),
        InChat(("max_tokens",)),
    ] = None
    min_new_tokens: Annotated[
        int | None,
        Field(ge=0, le=4096, title="Least tokens", description="Shortest caption, in tokens."),
        InChat(("min_tokens",), idle=0),
    ] = None
    num_beams: Annotated[
        int | None,
        Field(ge=1, le=32, title="Beams", description="Beams searched; 1 is greedy or sampled."),
        InChat(idle=1),
    ] = None
    temperature: Annotated[
        float | None,
        Field(
            ge=0,
            le=5,
            title="Temperature",
            description="0 is greedy; above, tokens are sampled, with one beam unless told.",
        ),
        InChat(("temperature",)),
    ] = None
    top_k: Annotated[
        int | None,
        Field(
            ge=0, le=1000, title="Top k", description="Sample among so many tokens; 0 among all."
        ),
        InChat(("top_k",), idle=0, sampling=True),
    ] = None
    top_p: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            title="Top p",
            description="Sample among the likeliest tokens of this share.",
        ),
        InChat(("top_p",), sampling=True),
    ] = None
    repetition_penalty: Annotated[
        float | None,
        Field(
            gt=0, le=10, title="Repetition penalty", description="Above 1 discourages repeating."
        ),
        InChat(("repetition_penalty", "repeat_penalty"), idle=1),
    ] = None
    presence_penalty: Annotated[
        float | None,
        Field(
            ge=-2,
            le=2,
            title="Presence penalty",
            description="Above 0 discourages tokens that the caption already has.",
        ),
        InChat(("presence_penalty",), idle=0),
    ] = None
    no_repeat_ngram_size: Annotated[
        int | None,
        Field(
            ge=0,
            le=64,
            title="No repeats",
            description="No run of so many tokens comes twice; 0 allows repeats.",
        ),
        InChat(idle=0),
    ] = None
    early_stopping: Annotated[
        int | None,
        Field(
            ge=0,
            le=1,
            title="Early stopping",
            description="1 ends the search once each beam has a caption; 0 looks for better ones.",
        ),
        InChat(idle=0),
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            lt=2**63,
            title="Seed",
            description="Makes sampling repeatable, image by image; exact in float32.",
        ),
        InChat(("seed",)),
    ] = None

    def over(self, defaults: "Generation") -> "Generation":
        """Return these settings with what is None taken from `defaults`.

        Who asks for sampling and says nothing of beams does not get a family's: sampled beams are
        another thing, and a seed does them image by image.
        """
        own = self.model_dump(exclude_none=True)
        if self.temperature and not defaults.temperature:
            own.setdefault("num_beams", 1)
        return defaults.model_copy(update=own)


class Tagging(_Value):
    """Which tags of a tagger are written, and how."""

    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """By category: the score that a tag has to exceed. At 1, or unnamed, a category is left out."""
    exclude: tuple[str, ...] = ()
    """Tags that are never written, with spaces or underscores."""
    underscores: bool = False
    """Whether words of a tag are joined by underscores, as boorus have them, instead of spaces."""
    escape: bool = False
    r"""Whether brackets are written as \( and \), as prompts of Stable Diffusion need them."""


def in_chat(setting: str) -> InChat:
    """Return how a chat server is told this setting of `Generation`."""
    known = Generation.model_fields[setting].metadata
    return next((told for told in known if isinstance(told, InChat)), InChat())


class CaptionRequest(_Value):
    """What to do with one image.

    captiv sends the finished `prompt`; a person with curl may name a `mode` and options instead,
    and the worker builds the prompt from the same catalog.
    """

    model: str | None = None
    variant: str | None = None
    mode: str | None = None
    length: str | None = None
    """A word of the family's lengths, or a number of words."""
    prompt: str | None = None
    prompt_options: tuple[str, ...] = ()
    prompt_variables: dict[str, str] = Field(default_factory=dict)
    answer_schema: Annotated[str | None, Field(max_length=MAX_SCHEMA_CHARS)] = None
    """A JSON Schema, as JSON text, to which an engine that can holds the answer; the others go by
    what the prompt says of it."""
    generation: Generation = Generation()
    tagging: Tagging | None = None

    @field_validator("answer_schema")
    @classmethod
    def _is_an_object(cls, text: str | None) -> str | None:
        try:
            fits = text is None or isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            fits = False
        if not fits:
            raise ValueError("it isn't a JSON object")
        return text

    """For a tagger; None leaves it to the family's own."""


class ModelChange(_Value):
    """Which model a worker is to load. What is None is left to the catalog and the engine."""

    model: str
    """Family, variant, local directory or hub id, as for ``captiv-worker --model``."""
    variant: str | None = None
    source: str | None = None
    """Take the weights from this directory or hub id instead."""
    dtype: str | None = None
    max_batch: Annotated[int, Field(ge=1, le=4096)] | None = None


class GuardLimits(_Value):
    """How long a pod may live on. Replaces both limits, whatever they were."""

    idle_s: Annotated[float, Field(gt=0, le=7 * 86_400)]
    """Seconds without an authenticated request, counted from when the model is ready."""
    deadline: Annotated[float, Field(ge=0, lt=1e11)] | None = None
    """Seconds since the epoch; None for no deadline, one that is past to end the pod now."""


class CaptionReply(_Reply):
    """One caption, and how it came about."""

    caption: str
    model: str
    variant: str
    prompt: str | None = None
    finish: Literal["stop", "length"] = "stop"
    """`length`: the answer hit max_new_tokens."""
    tokens: int = 0
    batch: int = 1
    """How many images the engine captioned together."""
    engine_s: float = 0.0
    max_batch: int | None = None
    """How many images a batch may have, by what came lately: found by trying, so it changes."""
    permits: int | None = None
    """How many images it holds now."""
    key: str
    boot_id: str


class Accepted(_Reply):
    """Work that is under way, as 202 tells it."""

    key: str
    status: Literal["running"]


class Loading(_Reply):
    """How far a loading worker is."""

    phase: str
    done_bytes: int | None = None
    total_bytes: int | None = None


class Health(_Reply):
    """What a worker tells anyone: no secrets."""

    status: Literal["loading", "ready", "failed"]
    worker: str
    boot_id: str
    protocol: int = PROTOCOL
    version: str = ""
    model: str | None = None
    variant: str | None = None
    device: str | None = None
    dtype: str | None = None
    max_batch: int = 1
    """How many images a batch may have, by what came lately: found by trying, so it changes."""
    permits: int = 1
    """How many images the worker holds at once; beyond that it answers 429."""
    loading: Loading | None = None
    code: str | None = None
    reason: str | None = None
    """Why it `failed`, in a sentence that says what to do."""
    restarts: int = 0
    """How often the guard had to start the worker again since it last captioned an image."""
    carry: str | None = None
    """The SHA-256 of the code that a pod waits for; None once it has it, or needs none."""
    engine: str | None = None
    """What drives the model: `transformers`, `vllm`, or `module:attribute` of one of one's own."""
    engine_version: str | None = None
    """Of an engine that is a program of its own, such as vLLM."""
    engines: list[str] = Field(default_factory=list)
    """The engines that this worker can load."""


class ModeInfo(_Reply):
    """One mode of a family."""

    name: str
    prompt: str | None
    description: str = ""
    by_count: str | None = None
    """The prompt with a number of words, at `{word_count}`; None where it has none."""
    by_length: str | None = None
    """The prompt with a word of `lengths`, at `{length}`."""
    trained: bool = True
    """Whether the model was trained on it."""
    variants: list[str] = Field(default_factory=list)
    """The variants that have it; empty for all."""


class VariantInfo(_Reply):
    """One variant of a family."""

    name: str
    source: str
    download_bytes: int | None = None
    vram_gb: dict[str, float] = Field(default_factory=dict)
    """Memory in GB to caption at batch 1, by precision."""
    modes: list[str] = Field(default_factory=list)
    takes_prompt: bool = False
    generation: Generation = Generation()
    """How it decodes unless told otherwise."""
    note: str = ""


class ModelInfo(_Reply):
    """One family as the catalog has it."""

    name: str
    title: str
    variants: list[VariantInfo]
    default_variant: str
    modes: list[str]
    options: list[str]
    default_mode: str = "default"
    lengths: list[str] = Field(default_factory=list)
    """How long a caption may be asked for; any number of words besides those that are listed."""
    takes_prompt: bool = False
    system: str = ""
    """What a chat model is told before each prompt."""
    generation: Generation
    tagging: Tagging | None = None
    """Which tags it writes unless told otherwise; None where it is no tagger."""
    licence: str = ""
    note: str = ""


class ModelsReply(_Reply):
    """The catalog of this worker and what it has loaded."""

    loaded: str | None
    loaded_variant: str | None
    source: str | None = None
    models: list[ModelInfo]


class ModesReply(_Reply):
    """The modes, lengths and prompt options of one family."""

    model: str
    modes: list[ModeInfo]
    default_mode: str = "default"
    options: dict[str, str]
    lengths: list[str] = Field(default_factory=list)
    takes_prompt: bool = False


class Problem(_Reply):
    """An error, as RFC 9457 has it, with captiv's stable `code`."""

    title: str
    status: int
    detail: str
    code: str
    type: str = "about:blank"
    key: str | None = None
    """The work that it is about; None where it is about none, or comes before the key is read."""
    suspect: bool = False
    """With `unknown_key`: the worker's last life ended while this work was in its running batch.
    With `engine_failed`: the engine broke on this image alone and captioned its neighbours."""
    killed: bool = False
    """With `suspect` of `unknown_key`: that life was ended by SIGKILL (the kernel short of memory,
    or somebody from outside), which may have nothing to do with the image."""
