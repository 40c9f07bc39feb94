"""What one run is asked to do, and the fingerprint by which the same request is known again."""

import hashlib
import json
from collections.abc import Collection
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from captiv.catalog.engines import EngineWish
from captiv.catalog.model import ImageQuality
from captiv.core.adding import Where
from captiv.core.mirror import mirrored_path
from captiv.core.naming import Naming, Place, sidecar_path
from captiv.core.texts import has_lines, in_one_line
from captiv.wire import Generation, Tagging

Overwrite = Literal["no", "yes", "all"]
"""What of the sidecars that are there is replaced: nothing, all but hand edits, or everything."""

Kind = Literal["local", "url", "rented"]
"""Of worker: one on this machine, one that somebody runs at a URL, or a pod that is rented."""

Protocol = Literal["captiv", "openai"]
"""`openai`: any server that speaks OpenAI's chat protocol and sees images."""

Fallback = Literal["local", "wait", "fail"]
"""`local`: go on on this machine; `wait`: keep asking; `fail`: end, the images stay pending."""


RETRIES = 2
"""At a glitch in 3 of 100 answers (JoyCaption's author has 1.5 to 3 %), three tries leave 3 images
of 100,000 without a caption, and cost 3 % more; a model that never manages an image costs three."""
MAX_RETRIES = 20


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Selection(_Value):
    """Which images are asked for."""

    roots: tuple[str, ...]
    """Absolute paths of files and folders, in the order given."""
    recursive: bool = False
    overwrite: Overwrite = "no"
    add: Where | None = None
    """On which side of a caption that is there a new one is added; None adds none."""
    limit: int | None = None
    retry_failed: bool = False
    """Whether images are tried that failed before, although nothing has changed since."""
    accept_truncated: bool = False
    """Whether a picture whose file is cut off is captioned from the rows that came."""

    @property
    def fixed(self) -> bool:
        """Whether a resumed run finishes its own set instead of looking for new images."""
        return self.limit is not None or not self.skips_captioned

    @property
    def skips_captioned(self) -> bool:
        """Whether an image that has a caption needs none."""
        return self.overwrite == "no" and self.add is None

    @property
    def only_missing(self) -> "Selection":
        """Return the same, for images without a caption."""
        return self.model_copy(update={"overwrite": "no", "add": None})

    def wider_than(self, other: "Selection") -> bool:
        """Whether more images may be captioned than with the limit of `other`."""
        if other.limit is None:
            return False
        return self.limit is None or self.limit > other.limit


class Captioning(_Value):
    """With what model and how they are captioned."""

    model: str
    variant: str
    source: str
    mode: str = "default"
    length: str | None = None
    """As the family writes it; already in `prompt`."""
    prompt: str | None = None
    """The finished prompt."""
    generation: Generation = Generation()
    tagging: Tagging | None = None
    """Of a tagger, with a threshold for each of its categories."""
    dtype: str = "auto"
    answer_schema: str | None = None
    """The JSON Schema of the answer, as `captiv.core.structure.Schema.text`; already in `prompt`.
    None where the answer is a plain text."""


class Output(_Value):
    """What is written where."""

    save: bool = True
    extension: str = ".txt"
    naming: Naming = "stem"
    prefix: str = ""
    suffix: str = ""
    one_line: bool = False
    """Whether an answer of several lines becomes one line."""
    directory: str | None = None
    """The folder in which a tree of sidecars mirrors those of the images; None: beside them."""
    folders: tuple[str, ...] = ()
    """The folders that are mirrored there, none of them inside another."""

    def sidecar_of(self, image: str) -> str:
        """Return the path of the sidecar of this image; nothing else in captiv names one."""
        beside = sidecar_path(image, extension=self.extension, naming=self.naming)
        if self.directory is None:
            return beside
        return mirrored_path(beside, self.directory, self.folders)

    def object_of(self, image: str) -> str:
        """Return the path of the file that holds the object of a structured answer."""
        return self.model_copy(update={"extension": ".json"}).sidecar_of(image)

    def place_of(self, image: str) -> Place:
        """Return what the caption of this image belongs to."""
        return Place(image, self.sidecar_of(image))

    def text(self, caption: str) -> str:
        """Return what the sidecar of this caption holds."""
        return f"{self.prefix}{in_one_line(caption) if self.one_line else caption}{self.suffix}"

    def answer_in(self, text: str) -> str:
        """Return a text that `text` made, without what stands before and after the answer."""
        return text.removeprefix(self.prefix).removesuffix(self.suffix)

    def cut_short(self, caption: str) -> bool:
        """Whether a trainer that reads the first line of a sidecar would miss some of an answer."""
        return self.save and not self.one_line and has_lines(caption)


class Site(_Value):
    """Where one worker is, or where each of several pods is rented."""

    kind: Kind = "local"
    provider: str | None = None
    """Of whom it is rented; None where nothing is."""
    url: str | None = None
    protocol: Protocol = "captiv"
    """What the worker at `url` speaks."""
    device: str = "auto"
    """Of this machine, for a worker on it; elsewhere for one that it falls back to."""


_CHEAPEST = ("url", "local", "rented")
"""Where a worker is had first: what is there already, what has to load, what has to be paid."""


class Placement(Site):
    """On which workers. Not part of the fingerprint: a run may go on elsewhere.

    It is the site of the first worker, and has those of the others `beside` it, so that a run with
    one worker reads as it always did. Of what is rented there is one kind, and it comes first.
    """

    beside: tuple[Site, ...] = ()
    """Where further workers are; the same device may be there more than once."""
    insecure: bool = False
    engine: EngineWish = "auto"
    """What drives the model in workers that captiv starts."""
    batch_size: int | None = None
    """None lets the worker choose."""
    gpu_type: str | None = None
    """The type of GPU that is tried first."""
    max_cost_usd: str | None = None
    """What the run may cost, as a decimal; None without a cap."""
    max_cost_said: bool = False
    """Whether that was said with the command: else a run that goes on keeps the cap it has."""
    pods: int = 1
    """How many pods are fed at the same time."""
    terminate: bool = False
    """Whether a pod that the run only used, for somebody else made it, is ended with the run."""
    fallback: Fallback = "local"
    """What to do when no pod can be had."""
    fallback_said: bool = False
    """Whether that was said with the command: then this machine goes on whatever is wrong."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Read a row of 0.2.0, which wrote its only provider as the kind."""
        if isinstance(data, dict) and data.get("kind") == "runpod":
            return {**data, "kind": "rented", "provider": "runpod"}
        return data

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where its workers are, once for each worker, in the order in which they are had."""
        first = [_plain(self)] * (self.pods if self.kind == "rented" else 1)
        everyone = [*first, *map(_plain, self.beside)]
        return tuple(sorted(everyone, key=lambda site: _CHEAPEST.index(site.kind)))

    def goes_on_here(self, *, passing: bool) -> bool:
        """Whether this machine goes on where no pod is to be had; `passing` if not for long."""
        return self.fallback == "local" and (passing or self.fallback_said)

    @property
    def workers(self) -> int:
        """How many workers serve the run at the same time."""
        return len(self.sites)

    def going_on(self, before: "Placement") -> "Placement":
        """Return this for a run that was placed so before: its cap stays unless another is said."""
        if self.max_cost_said or self.kind != "rented" or before.max_cost_usd is None:
            return self
        return self.model_copy(update={"max_cost_usd": before.max_cost_usd})

    def at(self, site: Site) -> "Placement":
        """Return the same terms with a worker at that site alone."""
        said = {name: getattr(site, name) for name in ("kind", "provider", "url", "protocol")}
        device = site.device if site.kind == "local" else self.device
        return self.model_copy(update={**said, "device": device, "beside": ()})


def _plain(site: Site) -> Site:
    """Return what tells a site from others, and nothing else."""
    match site.kind:
        case "local":
            return Site(device=site.device)
        case "url":
            return Site(kind="url", url=site.url, protocol=site.protocol)
        case "rented":
            return Site(kind="rented", provider=site.provider)


class Answers(_Value):
    """What is done about answers that are no captions. Not part of the fingerprint."""

    retries: int = RETRIES
    """How often such an answer is tried again."""
    limited_by_user: bool = False
    """Whether a person set the limit of new tokens, so that a text it cuts is what was wanted."""


_WHERE = ("save", "extension", "naming", "directory", "folders")
"""What of the output says where a text goes, and not what it is."""


class RunSpec(_Value):
    """Everything needed to do a run, or to go on with it."""

    selection: Selection
    captioning: Captioning
    output: Output = Output()
    placement: Placement = Placement()
    answers: Answers = Answers()
    image_quality: ImageQuality = "high"
    """Of what is sent: the row of a run keeps it, so that a key never names two bodies. The default
    is what runs had before it could be chosen."""

    @property
    def structured(self) -> bool:
        """Whether each answer is an object, with a file of its own."""
        return self.captioning.answer_schema is not None

    def object_of(self, image: str) -> str | None:
        """Return where the object of this image's answer goes; None where answers are texts."""
        return self.output.object_of(image) if self.structured else None

    def files_of(self, image: str) -> tuple[str, ...]:
        """Return every file that an image has once it is captioned; none if nothing is written."""
        if not self.output.save:
            return ()
        return tuple(filter(None, (self.output.sidecar_of(image), self.object_of(image))))

    def fingerprint(self) -> str:
        """Return the hash of what makes it the same run: selection, captioning and output.

        What is at its default is left out, so that a later version with one more option goes on
        with the runs of this one. A limit says how much of the run is asked for now, not what it
        is; so does `retry_failed`. No value of a fingerprint may ever change: unfinished runs are
        found again by it.
        """
        return _digest(
            {
                "selection": _said(self.selection, but={"limit", "retry_failed"}),
                "captioning": _said(self.captioning),
                "output": _said(self.output),
            }
        )

    def generation_digest(self) -> str:
        """Return the hash of what decides a caption's text, for the idempotency key.

        Defaults are hashed, too: a default that a later version changes, or adds, changes what is
        asked of a worker, and a key must never name two requests. All that a new digest costs is
        that an answer under the old one is asked for once more.
        """
        return _digest(self.captioning.model_dump(mode="json"))[:16]

    def adds(self) -> str | None:
        """Return the hash of what is added to captions that are there; None if nothing is.

        A caption with it is not added to the same sidecar again. As for a fingerprint, no value may
        ever change.
        """
        if self.selection.add is None:
            return None
        output = _said(self.output, but=_WHERE)
        parts = {"add": self.selection.add, "captioning": _said(self.captioning), "output": output}
        return _digest(parts)[:16]

    def asked(self) -> str:
        """Return the hash of what is asked of each image, and how often: where is of no matter."""
        parts: list[object] = [
            part.model_dump(mode="json") for part in (self.captioning, self.answers)
        ]
        if self.selection.accept_truncated:
            parts.append("accept_truncated")
        return _digest(parts)[:16]


def _said(part: BaseModel, *, but: Collection[str] = ()) -> object:
    """Return what a part of a request says beyond its defaults, however deep."""
    return part.model_dump(mode="json", exclude_defaults=True, exclude=set(but))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
