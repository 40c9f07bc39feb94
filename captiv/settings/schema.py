"""Every setting of captiv: its name, type, bounds, default and what it is for.

Sections are frozen and know no other keys. A secret is a `SecretStr`: it shows as stars wherever it
is printed. None means that captiv, or the model's family, decides.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    create_model,
)

from captiv.catalog.families import FAMILIES
from captiv.catalog.model import (
    DEVICE_LIST,
    DEVICE_LISTS,
    IMAGE_MEMORY_MB,
    ImageQuality,
)
from captiv.catalog.tagging import thresholds_in
from captiv.core.naming import checked_extension
from captiv.core.spec import MAX_RETRIES, RETRIES
from captiv.errors import UsageError
from captiv.wire import Generation

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _extension(text: str) -> str:
    try:
        return checked_extension(text)
    except UsageError as error:
        raise ValueError(error.message) from error


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with https:// or http://")
    if parts.username or parts.password:
        raise ValueError(
            "an address carries no user or password; tokens have settings of their own"
        )
    return text.rstrip("/")


def _safe_address(text: str) -> str:
    """Return an address that a secret may be sent to: https, or http to this machine."""
    address = _web_address(text)
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("the key would travel readable; use https")
    return address


def _proxy_address(text: str) -> str:
    if "{pod}" not in text:
        raise ValueError("it must hold {pod}, where the pod's id goes, and may hold {port}")
    try:
        _safe_address(text.replace("{pod}", "pod").replace("{port}", "80"))
    except ValueError as error:
        raise ValueError(str(error)) from None
    return text.rstrip("/")


def _listed(value: object) -> object:
    """Return a table of tokens as the text that holds the same."""
    if not isinstance(value, dict):
        return value
    if not all(isinstance(token, str) for token in value.values()):
        raise ValueError("each host of the table stands in quotes, and so does its token")
    if any("," in token for token in value.values()):
        raise ValueError("a token with a comma cannot stand here")
    return ", ".join(f"{host}={token}" for host, token in value.items())


def _checked_tokens(tokens: SecretStr) -> SecretStr:
    by_host(tokens)
    return tokens


def by_host(tokens: SecretStr) -> dict[str, str]:
    """Return the tokens in `host=TOKEN, host:port=TOKEN` by host.

    Raises:
        ValueError: it is not that; no token is repeated.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in tokens.get_secret_value().split(","))):
        host, equals, token = part.partition("=")
        if not (host.strip() and equals and token.strip()):
            raise ValueError("it must be HOST=TOKEN, or HOST:PORT=TOKEN, with commas between")
        if "/" in host:
            raise ValueError("a worker is named by its host here, without https:// or a path")
        found[host.strip().lower()] = token.strip()
    return found


def _package(text: str) -> str:
    """Return what pods install: it stands in their start command and their log."""
    if re.search(r"https?://[^/\s@]+@", text):
        raise ValueError("a package's address carries no user or password: pods show it")
    return text


Text = Annotated[str, Field(min_length=1)]
Package = Annotated[str, Field(min_length=1), AfterValidator(_package)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Tokens = Annotated[
    SecretStr, Field(min_length=1), BeforeValidator(_listed), AfterValidator(_checked_tokens)
]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SafeAddress = Annotated[str, AfterValidator(_safe_address)]
ProxyAddress = Annotated[str, AfterValidator(_proxy_address)]
Extension = Annotated[str, AfterValidator(_extension)]
Devices = Annotated[str, Field(pattern=DEVICE_LIST)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Gigabytes = Annotated[int, Field(ge=1, le=10_000)]
Cap = Annotated[float, Field(gt=0, le=100_000)] | Literal["none"]
"""Dollars, or that there is no cap."""
MAX_BATCH = 1024
"""The most images that may be asked to be captioned together."""

Dtype = Literal["auto", "float32", "float16", "bfloat16", "8bit", "4bit"]
DTYPES: tuple[str, ...] = get_args(Dtype)


class Section(BaseModel):
    """One table of the configuration file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


_FIRST = ("blip", "blip2", "git", "joycaption", "kosmos", "vit-gpt2")
"""Families that the first captiv had settings for: their keys stay, whatever the catalog has."""


class _ModelSettings(Section):
    default_model: Text = Field(
        default="blip", description="Model family, hub id or local directory."
    )
    default_variant: Text | None = Field(default=None, description="Variant of the default model.")
    default_mode: Text | None = Field(default=None, description="Mode of the default model.")
    default_length: Text | None = Field(
        default=None, description="Length of captions of the default model, if it has lengths."
    )

    def variant_for(self, family: str) -> str | None:
        """Return the variant wanted for this family, or None for the family's own default."""
        return self._for(family, "variant")

    def mode_for(self, family: str) -> str | None:
        """Return the mode wanted for this family, or None for the family's own default."""
        return self._for(family, "mode")

    def length_for(self, family: str) -> str | None:
        """Return the length wanted for this family, or None to leave it to the model."""
        return self._for(family, "length")

    def _for(self, family: str, what: str) -> str | None:
        own: str | None = getattr(self, f"{_stem(family)}_{what}", None)
        if own is None and family == self.default_model:
            own = getattr(self, f"default_{what}")
        return own


def _stem(family: str) -> str:
    return family.replace("-", "_")


def _of_families() -> dict[str, Any]:
    """Return a variant and a mode for each family, and a length where it has lengths."""
    names = sorted({*_FIRST, *(family.name for family in FAMILIES)})
    sized = {"joycaption", *(family.name for family in FAMILIES if family.lengths)}
    return {
        f"{_stem(name)}_{what}": (
            Text | None,
            Field(default=None, description=f"{what.title()} used for {name}."),
        )
        for name in names
        for what in ("variant", "mode", *(["length"] if name in sized else []))
    }


if TYPE_CHECKING:
    ModelSettings = _ModelSettings
else:
    ModelSettings = create_model(
        "ModelSettings",
        __base__=_ModelSettings,
        __doc__="Which model captions when the command names none.",
        **_of_families(),
    )


class GenerationSettings(Section, Generation):
    """How models decode. Unset, each family uses its own.

    The first captiv listed numbers here and never read them; they are no defaults.
    """

    retries: Annotated[int, Field(ge=0, le=MAX_RETRIES)] = Field(
        default=RETRIES,
        description="How often an answer that is no caption is tried again, sampled.",
    )


def _thresholds(text: str) -> str:
    thresholds_in(text)
    return text


class TagSettings(Section):
    """What taggers write; other models take no notice."""

    threshold: Annotated[Text, AfterValidator(_thresholds)] | None = Field(
        default=None,
        description="Score that a tag has to exceed, or CATEGORY=SCORE with commas between; 1 "
        "leaves a category out, and one that a tagger lacks is passed over. Unset, its own.",
    )
    exclude: str = Field(default="", description="Tags that are never written: a,b,c.")
    underscores: bool = Field(
        default=False, description="Join the words of a tag by underscores instead of spaces."
    )
    escape: bool = Field(default=False, description=r"Write brackets as \( and \).")


class SystemSettings(Section):
    """On what this machine captions."""

    default_torch_dtype: Dtype = Field(
        default="auto", description="Precision of the model's weights."
    )
    device: Devices = Field(default="auto", description=f"{DEVICE_LISTS}.")
    engine: Literal["auto", "transformers", "vllm"] = Field(
        default="auto",
        description="What drives models in workers that captiv starts; auto takes vLLM where it is "
        "installed and can do what is asked.",
    )


class OutputSettings(Section):
    """How sidecars are written."""

    extension: Extension = Field(default=".txt", description="Extension of sidecars.")
    sidecar_name: Literal["stem", "full"] = Field(
        default="stem", description="stem: a.jpg has a.txt; full: a.jpg.txt."
    )
    prefix: str = Field(default="", description="Text before each caption.")
    suffix: str = Field(default="", description="Text after each caption.")
    one_line: bool = Field(
        default=False, description="Make one line of an answer that has several."
    )


class ImageSettings(Section):
    """How pictures travel to a worker."""

    quality: ImageQuality = Field(
        default="standard",
        description="low: a third fewer bytes, for a slow line; high: twice as many. A run keeps "
        "the one that it began with.",
    )
    memory_mb: Annotated[int, Field(ge=64, le=1024 * 1024)] = Field(
        default=IMAGE_MEMORY_MB,
        description="MB that decoded pictures may take at once, in captiv, in its page and "
        "in a worker on this machine, each.",
    )


class WorkerSettings(Section):
    """A worker that runs elsewhere, and how much any worker captions at once."""

    url: WebAddress | None = Field(default=None, description="Address of a running worker.")
    protocol: Literal["captiv", "openai"] = Field(
        default="captiv",
        description="What it speaks: openai is any chat server that sees images.",
    )
    token: Secret | None = Field(default=None, description="The worker's token.")
    tokens: Tokens | None = Field(
        default=None,
        description="Tokens for several workers: HOST=TOKEN, HOST:PORT=TOKEN, … or a table. A "
        "worker whose host isn't listed gets worker.token.",
    )
    request_timeout: Seconds = Field(
        default=300, description="Seconds for one caption of a server that speaks openai."
    )
    insecure: bool = Field(
        default=False, description="Send the token over http to another machine."
    )
    silence_warning: Seconds = Field(
        default=60,
        description="Seconds without a caption until captiv says so; five times the longest gap "
        "so far, if that is longer.",
    )
    silence_limit: Seconds = Field(
        default=120,
        description="Seconds without a caption until a worker here is started again, or one "
        "elsewhere is given up; ten times the longest gap so far, if that is longer.",
    )
    first_caption: Seconds = Field(
        default=1800,
        description="Seconds that a worker may take for its first caption; after it, "
        "silence_limit holds.",
    )
    drain_limit: Seconds = Field(
        default=300,
        description="Seconds that an interrupted run waits for the images at its worker.",
    )
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] | None = Field(
        default=None, description="Images captioned together; unset, the worker finds out."
    )

    def token_for(self, url: str) -> SecretStr | None:
        """Return the token of the worker at that address; None where it is not known."""
        own = {} if self.tokens is None else by_host(self.tokens)
        parts = urlsplit(url.lower())
        named = own.get(parts.netloc) or own.get(parts.hostname or "")
        return self.token if named is None else SecretStr(named)

    @property
    def secrets(self) -> list[SecretStr]:
        """Every token, each by itself."""
        own = [] if self.tokens is None else by_host(self.tokens).values()
        return [*([] if self.token is None else [self.token]), *map(SecretStr, own)]


class GuiSettings(Section):
    """Where the web page is served."""

    host: Text = Field(default="127.0.0.1", description="Address that the page listens on.")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=7860, description="Port of the page; 0 takes a free one."
    )
    ssl_keyfile: Text | None = Field(default=None, description="Private key, for https.")
    ssl_certfile: Text | None = Field(default=None, description="Certificate, for https.")


class RunpodSettings(Section):
    """Renting GPUs from RunPod."""

    api_key: Secret | None = Field(default=None, description="RunPod's API key.")
    template_id: Text | None = Field(
        default=None, description="Template that gives image, environment and disk."
    )
    default_gpu_type: str = Field(
        default="NVIDIA RTX A4000",
        description="GPU type tried first, whatever it costs below max_price; empty: none, the "
        "cheapest that fits is taken.",
        json_schema_extra={"empty": True},
    )
    auto_create: bool = Field(default=True, description="Rent a pod where none can be used again.")
    auto_terminate: bool = Field(default=True, description="End a run's pod when the run ends.")
    startup_timeout: Seconds = Field(default=600, description="Seconds until a pod must be ready.")
    container_disk_size: Gigabytes | None = Field(
        default=None,
        description="Container disk, in GB; unset, what the model's download and captiv's packages "
        "need, and 10 GB more.",
    )
    network_volume: Text | None = Field(
        default=None,
        description="Id of a network volume on which pods keep models, so that each is downloaded "
        "once; pods are then rented in its data center only.",
    )
    registry: Text | None = Field(
        default=None,
        description="Id or name of the account's credentials for the registry of a private image.",
    )
    volume_disk_size: Gigabytes = Field(
        default=50,
        description="Kept from earlier files and not used: RunPod's v2 API has no such volume.",
        json_schema_extra={
            "unused": "RunPod's API has no volume on the host worth paying for, and a pod keeps "
            "nothing; its disk is runpod.container_disk_size"
        },
    )
    request_timeout: Seconds = Field(
        default=120,
        description="Seconds that a pod may answer and give no caption; then it is replaced. Ten "
        "times its longest gap so far, if that is longer.",
    )
    api_url: SafeAddress = Field(
        default="https://api.runpod.io", description="Address of RunPod's API."
    )
    proxy_url: ProxyAddress = Field(
        default="https://{pod}-{port}.proxy.runpod.net", description="How a pod is reached."
    )
    image: Text | None = Field(
        default=None, description="Worker image; docs/worker-image.md makes one."
    )
    bootstrap: Literal["carry", "image", "pip"] = Field(
        default="carry",
        description="carry: captiv brings its worker into a public image, or into runpod.image if "
        "this is set; image: captiv is in the image, as where this is not set and runpod.image or "
        "runpod.template_id is; pip: the pod installs captiv at its start.",
    )
    package: Package | None = Field(
        default=None,
        description="What bootstrap = pip installs, or its URL; unset, this version of captiv.",
    )
    cloud: Literal["any", "secure", "community"] = Field(
        default="any", description="Where pods are rented."
    )
    max_price: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.5, description="Most that a pod may cost, in dollars an hour."
    )
    max_cost: Cap | None = Field(
        default=None,
        description="Most that a run may cost, in dollars, where the command has no --max-cost; "
        "none: no cap, and captiv does not ask for one.",
    )
    guard_idle: Seconds = Field(
        default=900,
        description="Seconds without a request that brings a pod's token, as captiv's do, until "
        "the pod ends itself.",
    )
    lost_after: Seconds = Field(
        default=60, description="Seconds without an answer until a pod is given up."
    )
    fallback: Literal["local", "wait", "fail"] = Field(
        default="local", description="What a run does when RunPod fails or has no GPU."
    )


class ApiSettings(Section):
    """A vendor's chat API, for `captiv quote` to compare with."""

    price: Annotated[float, Field(gt=0, le=100_000)] | None = Field(
        default=None, description="What it costs you to caption 1,000 images, in dollars."
    )


class Settings(Section):
    """All settings, typed and checked; read once and passed down."""

    model: ModelSettings = ModelSettings()
    generation: GenerationSettings = GenerationSettings()
    tags: TagSettings = TagSettings()
    system: SystemSettings = SystemSettings()
    output: OutputSettings = OutputSettings()
    images: ImageSettings = ImageSettings()
    worker: WorkerSettings = WorkerSettings()
    gui: GuiSettings = GuiSettings()
    runpod: RunpodSettings = RunpodSettings()
    api: ApiSettings = ApiSettings()

    def value(self, section: str, key: str) -> Any:
        """Return the value under a name that the schema knows."""
        return getattr(getattr(self, section), key)
