"""Every setting of captiv: its name, type, bounds, default and what it is for.

Sections are frozen and know no other keys. A secret is a `SecretStr`: it shows as stars wherever it
is printed. None means that captiv, or the model's family, decides.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from captiv.core.naming import checked_extension
from captiv.errors import UsageError

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


Text = Annotated[str, Field(min_length=1)]
Secret = Annotated[SecretStr, Field(min_length=1)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SafeAddress = Annotated[str, AfterValidator(_safe_address)]
ProxyAddress = Annotated[str, AfterValidator(_proxy_address)]
Extension = Annotated[str, AfterValidator(_extension)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$")]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Gigabytes = Annotated[int, Field(ge=1, le=10_000)]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]


class Section(BaseModel):
    """One table of the configuration file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


class ModelSettings(Section):
    """Which model captions when the command names none."""

    default_model: Text = Field(
        default="blip", description="Model family, hub id or local directory."
    )
    default_variant: Text | None = Field(default=None, description="Variant of the default model.")
    default_mode: Text | None = Field(default=None, description="Mode of the default model.")
    blip_variant: Text | None = Field(default=None, description="Variant used for blip.")
    blip_mode: Text | None = Field(default=None, description="Mode used for blip.")
    blip2_variant: Text | None = Field(default=None, description="Variant used for blip2.")
    blip2_mode: Text | None = Field(default=None, description="Mode used for blip2.")
    joycaption_variant: Text | None = Field(
        default=None, description="Variant used for joycaption."
    )
    joycaption_mode: Text | None = Field(default=None, description="Mode used for joycaption.")
    kosmos_variant: Text | None = Field(default=None, description="Variant used for kosmos.")
    kosmos_mode: Text | None = Field(default=None, description="Mode used for kosmos.")
    vit_gpt2_variant: Text | None = Field(default=None, description="Variant used for vit-gpt2.")
    vit_gpt2_mode: Text | None = Field(default=None, description="Mode used for vit-gpt2.")

    def variant_for(self, family: str) -> str | None:
        """Return the variant wanted for this family, or None for the family's own default."""
        return self._for(family, "variant")

    def mode_for(self, family: str) -> str | None:
        """Return the mode wanted for this family, or None for the family's own default."""
        return self._for(family, "mode")

    def _for(self, family: str, what: str) -> str | None:
        own: str | None = getattr(self, f"{family.replace('-', '_')}_{what}", None)
        if own is None and family == self.default_model:
            own = getattr(self, f"default_{what}")
        return own


class GenerationSettings(Section):
    """How models decode. Unset, each family uses its own.

    The first captiv listed numbers here and never read them; they are no defaults.
    """

    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None, description="Longest caption, in tokens."
    )
    min_new_tokens: Annotated[int, Field(ge=0, le=4096)] | None = Field(
        default=None, description="Shortest caption, in tokens."
    )
    num_beams: Annotated[int, Field(ge=1, le=32)] | None = Field(
        default=None, description="Beams searched; 1 is greedy or sampled."
    )
    temperature: Annotated[float, Field(ge=0, le=5)] | None = Field(
        default=None, description="0 is greedy; above, tokens are sampled."
    )
    top_k: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Sample among so many tokens; 0 among all."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Sample among the likeliest tokens of this share."
    )
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None, description="Above 1 discourages repeating."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        default=None, description="Makes sampling repeatable."
    )


class SystemSettings(Section):
    """On what this machine captions."""

    default_torch_dtype: Dtype = Field(
        default="auto", description="Precision of the model's weights."
    )
    device: Device = Field(
        default="auto", description="auto, cpu, mps, cuda, cuda:N, xpu or xpu:N."
    )


class OutputSettings(Section):
    """How sidecars are written."""

    extension: Extension = Field(default=".txt", description="Extension of sidecars.")
    sidecar_name: Literal["stem", "full"] = Field(
        default="stem", description="stem: a.jpg has a.txt; full: a.jpg.txt."
    )
    prefix: str = Field(default="", description="Text before each caption.")
    suffix: str = Field(default="", description="Text after each caption.")


class WorkerSettings(Section):
    """A worker that runs elsewhere, and how much any worker captions at once."""

    url: WebAddress | None = Field(default=None, description="Address of a running worker.")
    token: Secret | None = Field(default=None, description="The worker's token.")
    insecure: bool = Field(
        default=False, description="Send the token over http to another machine."
    )
    batch_size: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, description="Images captioned together; unset, the worker chooses."
    )


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
    default_gpu_type: Text = Field(default="NVIDIA RTX A4000", description="GPU type tried first.")
    auto_create: bool = Field(default=True, description="Rent a pod where none can be used again.")
    auto_terminate: bool = Field(default=True, description="End a run's pod when the run ends.")
    startup_timeout: Seconds = Field(default=600, description="Seconds until a pod must be ready.")
    container_disk_size: Gigabytes = Field(default=50, description="Container disk, in GB.")
    volume_disk_size: Gigabytes = Field(
        default=50, description="Kept for older files; RunPod's v2 API has no such volume."
    )
    request_timeout: Seconds = Field(
        default=120, description="Seconds for one caption, waiting included."
    )
    api_url: SafeAddress = Field(
        default="https://api.runpod.io", description="Address of RunPod's API."
    )
    proxy_url: ProxyAddress = Field(
        default="https://{pod}-{port}.proxy.runpod.net", description="How a pod is reached."
    )
    image: Text | None = Field(default=None, description="Worker image.")
    bootstrap: Literal["image", "pip"] = Field(
        default="image",
        description="image: captiv is in the image; pip: the pod installs it at its start.",
    )
    package: Text | None = Field(
        default=None, description="What bootstrap = pip installs; unset, this version of captiv."
    )
    cloud: Literal["any", "secure", "community"] = Field(
        default="any", description="Where pods are rented."
    )
    max_price: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.5, description="Most that a pod may cost, in dollars an hour."
    )
    guard_idle: Seconds = Field(
        default=900, description="Seconds without work until a pod ends itself."
    )
    lost_after: Seconds = Field(
        default=60, description="Seconds without an answer until a pod is given up."
    )
    fallback: Literal["local", "wait", "fail"] = Field(
        default="local", description="What a run does when no pod can be had."
    )


class Settings(Section):
    """All settings, typed and checked; read once and passed down."""

    model: ModelSettings = ModelSettings()
    generation: GenerationSettings = GenerationSettings()
    system: SystemSettings = SystemSettings()
    output: OutputSettings = OutputSettings()
    worker: WorkerSettings = WorkerSettings()
    gui: GuiSettings = GuiSettings()
    runpod: RunpodSettings = RunpodSettings()

    def value(self, section: str, key: str) -> Any:
        """Return the value under a name that the schema knows."""
        return getattr(getattr(self, section), key)
