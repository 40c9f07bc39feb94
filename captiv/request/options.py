"""What a person can ask for, as the command line, the page and Python code give it.

Options come in groups, so that commands can share them. Each field has its type, its default and a
`Flag`, which is all that the command line needs to offer it; `captiv.cli.groups` does that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel

from captiv.catalog.tagging import tag_names, thresholds_in
from captiv.core.spec import MAX_RETRIES, Overwrite
from captiv.core.structure.named import NAMED
from captiv.errors import UsageError
from captiv.wire import Generation


@dataclass(frozen=True, slots=True)
class Flag:
    """How the command line offers a field. Without `spelled` it is called as the field is."""

    help: str
    spelled: tuple[str, ...] = ()
    metavar: str | None = None
    min: int | None = None
    max: int | None = None
    read: Callable[[str | None], Any] | None = None
    """Turns the text given on the command line into the field's value."""
    many: bool = False
    """Whether it may be given more than once; the field has all of them."""


@dataclass(frozen=True, slots=True)
class FlagEach:
    """The field is a mapping with a flag for each field of `model`, which describes them."""

    model: type[BaseModel]


def pairs(text: str | None, flag: str) -> dict[str, str]:
    """Return `a=b,c=d` as a mapping."""
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{flag} takes name=value, separated by commas; {part!r} is none.")
        found[name.strip()] = value.strip()
    return found


def words(text: str | None) -> tuple[str, ...]:
    """Return `a,b` as a tuple."""
    return tuple(filter(None, (part.strip() for part in (text or "").split(","))))


def _variables(text: str | None) -> dict[str, str]:
    return pairs(text, "--prompt-variables")


def _thresholds(text: str | None) -> dict[str, float]:
    try:
        return thresholds_in(text or "")
    except ValueError as error:
        raise UsageError(f"--tag-threshold {error}.") from error


def _tags(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tag_names(text)


# Groups are not slotted: Options inherits from all of them, and slots don't allow that.


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Which images."""

    panel: ClassVar[str | None] = None

    paths: Sequence[Path] = ()
    recursive: Annotated[bool, Flag("Look into folders below, too.", ("--recursive", "-r"))] = False
    overwrite: Overwrite = "no"
    add: Annotated[
        str | None,
        Flag(
            "Add the new caption to one that is there, before or after it, once; images without "
            "one get it alone.",
            metavar="before|after",
        ),
    ] = None
    limit: Annotated[
        int | None,
        Flag("Make at most N captions; images that fail or are kept don't count.", min=1),
    ] = None
    retry_failed: Annotated[
        bool, Flag("Also try images that failed before, even if nothing has changed.")
    ] = False
    accept_truncated: Annotated[
        bool,
        Flag("Caption a picture whose file is cut off from what is there; the rest of it is grey."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model captions, and what it is asked."""

    panel: ClassVar[str | None] = "Model"

    model: Annotated[
        str | None,
        Flag("A model of `captiv model list`, a local directory or a hub id.", ("--model", "-m")),
    ] = None
    variant: Annotated[str | None, Flag("Which checkpoint of the model.", ("--variant", "-v"))] = (
        None
    )
    mode: Annotated[str | None, Flag("How to ask: `captiv model show NAME` lists them.")] = None
    length: Annotated[
        str | None,
        Flag(
            "How long a caption to ask for, where the model has lengths: short, long, … or a "
            "number of words.",
            metavar="LENGTH",
        ),
    ] = None
    prompt: Annotated[
        str | None, Flag("A prompt of your own, instead of a mode's.", ("--prompt", "-p"))
    ] = None
    prompt_options: Annotated[
        Sequence[str], Flag("Sentences to add, by key: a,b,c.", read=words)
    ] = ()
    schema: Annotated[
        str | None,
        Flag(
            "Ask a chat model for a JSON object that fits this JSON Schema; it goes into a .json "
            "beside the image, its text into the sidecar. A file, or one that captiv has: "
            f"{', '.join(NAMED)}.",
            metavar="FILE|NAME",
        ),
    ] = None
    prompt_variables: Annotated[
        Mapping[str, str], Flag("Values for {name} in the prompt: name=VALUE,…", read=_variables)
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """How the model decodes, and what is done about answers that are no captions."""

    panel: ClassVar[str | None] = "Decoding"

    generation: Annotated[Mapping[str, Any], FlagEach(Generation)] = field(default_factory=dict)
    """By the names of `Generation`; not checked yet."""
    retries: Annotated[
        int | None,
        Flag(
            "How often an answer that is no caption (a loop, a refusal, one that is cut off, …) is "
            "tried again, sampled from another seed.",
            min=0,
            max=MAX_RETRIES,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class TagOptions:
    """Which tags a tagger writes, and how. No other model takes these."""

    panel: ClassVar[str | None] = "Tags (taggers only)"

    tag_threshold: Annotated[
        Mapping[str, float],
        Flag(
            "Lowest score for a tag: one for all categories, or CATEGORY=SCORE; 1 turns a category "
            "off.",
            metavar="SCORE|CATEGORY=SCORE,…",
            read=_thresholds,
        ),
    ] = field(default_factory=dict)
    tag_exclude: Annotated[
        Sequence[str] | None, Flag("Tags that are never written: a,b,c.", read=_tags)
    ] = None
    tag_underscores: Annotated[
        bool | None,
        Flag(
            "Join the words of a tag by underscores, or by spaces.",
            ("--tag-underscores/--no-tag-underscores",),
        ),
    ] = None
    tag_escape: Annotated[
        bool | None,
        Flag(
            r"Write brackets as \( and \), for prompts in which they would be weights.",
            ("--tag-escape/--no-tag-escape",),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PlacementOptions:
    """On what kind of worker, and for how much money."""

    panel: ClassVar[str | None] = "Where"

    dtype: Annotated[
        str | None,
        Flag("auto, float32, float16, bfloat16, 8bit or 4bit.", ("--torch-dtype",)),
    ] = None
    local: Annotated[
        bool,
        Flag(
            "Caption on this machine as well, beside --worker or --runpod; alone it overrides "
            "worker.url.",
            ("--local",),
        ),
    ] = False
    device: Annotated[
        str | None,
        Flag(
            "auto, cpu, mps, cuda, cuda:N, xpu or xpu:N; several with commas between, or all, for "
            "a worker on each.",
            metavar="DEVICE,…",
        ),
    ] = None
    engine: Annotated[
        str | None,
        Flag("auto, transformers or vllm: what drives the model, here and in pods."),
    ] = None
    batch_size: Annotated[
        str | None,
        Flag(
            "Images captioned together; auto: the worker finds out what its memory holds.",
            metavar="N|auto",
        ),
    ] = None
    worker: Annotated[
        Sequence[str],
        Flag(
            "Use the worker at this URL; repeat the option to use several. Set its token in "
            "CAPTIV_WORKER_TOKEN, or a token for each in CAPTIV_WORKER_TOKENS.",
            metavar="URL",
            many=True,
        ),
    ] = ()
    protocol: Annotated[
        str | None,
        Flag(
            "What --worker speaks. openai: any chat server that sees images, such as vLLM, "
            "llama.cpp, LM Studio or Ollama.",
            metavar="captiv|openai",
        ),
    ] = None
    insecure: Annotated[bool, Flag("Send the token over plain http to another machine.")] = False
    runpod: Annotated[
        bool,
        Flag(
            "Rent a GPU from RunPod by the second, and end it when the run ends.",
            ("--runpod/--no-runpod",),
        ),
    ] = False
    gpu_type: Annotated[
        str | None,
        Flag("Type of GPU tried first on RunPod; one that is not on offer at all is refused."),
    ] = None
    pods: Annotated[
        int,
        Flag(
            "Pods that are fed from the same queue, each at its own speed.",
            metavar="N",
            min=1,
            max=64,
        ),
    ] = 1
    max_cost: Annotated[
        str | None,
        Flag(
            "Claim no more in time to stay below; the rest stays pending. Without it, "
            "runpod.max_cost; none: no cap.",
            metavar="DOLLARS|none",
        ),
    ] = None
    fallback: Annotated[
        str | None,
        Flag(
            "When RunPod fails or has no GPU: caption on this machine, wait, or keep the images "
            "for later.",
            metavar="local|wait|fail",
        ),
    ] = None
    terminate: Annotated[
        bool, Flag("Also end a pod that this run used and `captiv runpod create` made.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written where."""

    panel: ClassVar[str | None] = "Output"

    output_dir: Annotated[
        Path | None,
        Flag(
            "Write sidecars into this folder, in a tree that mirrors the images', for folders that "
            "are read-only; captions that are there count, and not those beside the images.",
            metavar="DIR",
        ),
    ] = None
    save: Annotated[
        bool, Flag("Write sidecars, or print the captions only.", ("--save/--no-save",))
    ] = True
    extension: Annotated[str | None, Flag("Extension of sidecars (.txt).")] = None
    sidecar_name: Annotated[
        str | None,
        Flag("a.jpg has a.txt (stem) or a.jpg.txt (full).", metavar="stem|full"),
    ] = None
    prefix: Annotated[str | None, Flag("Text before each caption.")] = None
    suffix: Annotated[str | None, Flag("Text after each caption.")] = None
    one_line: Annotated[
        bool | None,
        Flag(
            "Make one line of an answer that has several: some trainers read only the first line.",
            ("--one-line/--no-one-line",),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Options(
    SelectionOptions, ModelOptions, DecodingOptions, TagOptions, PlacementOptions, OutputOptions
):
    """What a person asks of a run; None is not given, and the settings decide."""
