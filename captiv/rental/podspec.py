"""On what terms a run rents a pod, and what the pod is to be."""

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from captiv import __version__
from captiv.catalog import Family, Variant, family_named
from captiv.catalog.engines import Engine, EngineWish, against_vllm, is_exact
from captiv.catalog.model import QUANTISED
from captiv.core.fleet import Demand, Offer, Wish, demand
from captiv.core.jobs import Run, RunId
from captiv.core.pods import Guarded, Owner, version_with
from captiv.core.spec import Captioning, Placement, RunSpec
from captiv.rental import bootstrap
from captiv.rental.carry import Cargo, cargo_for
from captiv.rental.provider import EndingCall, PodSpec, Policy, ending_as_json
from captiv.wire import Generation, ModelChange
from captiv.workers.arguments import worker_arguments

PORT = 8000
VLLM_SHARE: Final = 0.9
"""What vLLM takes of a GPU's memory (`--gpu-memory-utilization`)."""
VLLM_ROOM_GB: Final = 1.5
"""For the caches of a dozen images of a model of 8 billion parameters, at 0.117 GB each."""
STARTUP_GRACE_S = 300
"""What the guard allows beyond the time that captiv waits: captiv's own end comes first."""
_PACKAGES_GB: Final = 1
_SLACK_GB: Final = 10
_LEAST_DISK_GB: Final = 20
_DISK_OF_UNKNOWN_GB: Final = 50


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run asks of a pod and what it may cost."""

    owner: Owner
    run_id: RunId
    demand: Demand
    policy: Policy
    model: ModelChange
    """What the pod is to load."""
    max_cost: Decimal | None = None
    lingers: bool = False
    """Whether the pod is left to its guard when the run ends."""
    terminate: bool = False
    """Whether also a pod that the run only used is ended with it."""
    image: str | None = None
    disk_gb: int | None = None
    """Asked for with a pod that is made by hand; they go before all settings."""
    engine: EngineWish = "auto"
    """What is to drive the model."""
    generation: Generation | None = None
    """How the model decodes; None as its family has it."""

    @property
    def cargo(self) -> Cargo | None:
        """What captiv brings into the pod; None where its image has captiv, or installs it."""
        carries = self.policy.carries and self.image is None
        return cargo_for(self.model) if carries else None

    def pack(self) -> None:
        """Make what captiv brings, once: it reads the worker's files. Blocks."""
        _ = self.cargo

    @property
    def version(self) -> str:
        """Of the worker in the pod, as the ledger has it; with what only such a pod installs."""
        cargo = self.cargo
        version = __version__ if cargo is None else cargo.version
        installed = self.extras if cargo is not None or self.policy.installs else ()
        for extra in ("tagger", "quant"):
            if extra in installed:
                return f"{version}.{extra}"
        return version_with(self.brought or "transformers", version)

    @property
    def brought(self) -> Engine | None:
        """What drives the model in a pod into which captiv brings its worker; None in others.

        A model that vLLM drives has its image, where captiv chooses the image.
        """
        if self.cargo is None:
            return None
        return engine_in_pod(self.policy, self.model, self.engine, self.generation)

    @property
    def variant(self) -> Variant:
        """The checkpoint that the pod loads, as the catalog has it."""
        return variant_of(self.model)

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras of captiv that the model needs."""
        return ("vllm",) if self.brought == "vllm" else extras_of(self.model)


def terms_of(run: Run, policy: Policy, owner: Owner) -> Terms:
    """Return the terms on which this run rents."""
    placement = run.spec.placement
    model = model_of(run.spec.captioning, placement.batch_size)
    return Terms(
        owner=owner,
        run_id=run.id,
        demand=demand_by(policy, run.spec),
        policy=replace(policy, wish=wish_of(placement, policy)),
        model=model,
        max_cost=None if placement.max_cost_usd is None else Decimal(placement.max_cost_usd),
        lingers=policy.lingers and not placement.terminate,
        terminate=placement.terminate,
        engine=placement.engine,
        generation=run.spec.captioning.generation,
    )


def guarded(idle_s: float, startup_timeout_s: float) -> Guarded:
    """Return how long a pod lives by its guard when captiv waits so long for it to be ready."""
    return Guarded(idle_s, 2 * startup_timeout_s + STARTUP_GRACE_S)


def model_of(captioning: Captioning, batch: int | None) -> ModelChange:
    """Return what a worker has to load to caption so."""
    return ModelChange(
        model=captioning.model,
        variant=captioning.variant,
        source=captioning.source,
        dtype=captioning.dtype,
        max_batch=batch,
    )


def extras_of(model: ModelChange) -> tuple[str, ...]:
    """Return the extras of captiv that a worker needs to load this model."""
    if _is_tagger(model):
        return ("tagger",)
    return ("local", "quant") if model.dtype in QUANTISED else ("local",)


def _is_tagger(model: ModelChange) -> bool:
    family = family_named(model.model)
    return family is not None and family.tagging is not None


def demand_of(model: ModelChange, engine: Engine = "transformers") -> Demand:
    """Return what this model demands of a GPU, driven by that engine.

    vLLM takes its share of the memory (`VLLM_SHARE`) at its start, for the weights and for the
    caches of all images at once, and does not start without some room for these.
    """
    variant = variant_of(model)
    name = f"{model.model} {variant.name}"
    asked = demand(name, variant, model.dtype or "auto", model.max_batch)
    if _is_tagger(model):
        return replace(asked, idle=True)
    if engine == "transformers" or asked.gb is None:
        return asked
    return replace(asked, gb=(asked.gb + VLLM_ROOM_GB) / VLLM_SHARE)


def demand_by(policy: Policy, spec: RunSpec) -> Demand:
    """Return what a run demands of the GPU of a pod."""
    model = model_of(spec.captioning, spec.placement.batch_size)
    return demand_of(model, engine_for(policy, spec))


def engine_for(policy: Policy, spec: RunSpec) -> Engine:
    """Return what drives the model in the pods that a run rents, as far as captiv decides it."""
    placement = spec.placement
    if not policy.carries and placement.engine == "vllm":
        return "vllm"
    model = model_of(spec.captioning, placement.batch_size)
    return engine_in_pod(policy, model, placement.engine, spec.captioning.generation)


def engine_in_pod(
    policy: Policy, model: ModelChange, wish: EngineWish, asked: Generation | None
) -> Engine:
    """Return what drives a model in a pod: vLLM where it is named, or can and has its image.

    A run that names vLLM was refused if it can't drive the checkpoint (`captiv.request`).
    """
    if wish != "auto":
        return wish if policy.carries else "transformers"
    dtype = model.dtype or "auto"
    if not (policy.carries and policy.public) or is_exact(dtype):
        return "transformers"
    kinds = _kinds_of(model)
    can = kinds and all(against_vllm(kind, dtype, asked) is None for kind in kinds)
    return "vllm" if can else "transformers"


def variant_of(model: ModelChange) -> Variant:
    """Return the checkpoint as the catalog has it; of one that is not in it, nothing more."""
    family, name = family_named(model.model), model.variant or model.model
    variant = family.variant(name) if family is not None else None
    return variant or Variant(name, model.source or name)


def _kinds_of(model: ModelChange) -> list[Family]:
    """Return the family as its variant has it; none for a family that is not in the catalog.

    A checkpoint of one's own may be like any variant of the family: then as each of them has it.
    """
    family = family_named(model.model)
    if family is None:
        return []
    variant = family.variant(model.variant or family.default_variant)
    return [family.of(v) for v in ((variant,) if variant else family.variants)]


def wish_of(placement: Placement, policy: Policy) -> Wish:
    """Return what was asked for, on the command line or in the settings."""
    named = placement.gpu_type
    if named is None:
        return policy.wish
    return replace(policy.wish, gpu_type=named.strip() or None, named="command")


def pod_spec(
    terms: Terms,
    offer: Offer,
    name: str,
    token_sha256: str,
    deadline_s: int | None,
    ending: tuple[EndingCall, ...],
    now_s: float,
) -> PodSpec:
    """Return the pod that is asked for; it learns only the hash of its token.

    Without a deadline its guard ends it only when it is idle. `deadline_s` and `now_s` are seconds
    since 1970 by the provider's clock.
    """
    guard, cargo = terms.policy.guarded, terms.cargo
    env = {
        "CAPTIV_WORKER_TOKEN_SHA256": token_sha256,
        "CAPTIV_GUARD_IDLE_S": f"{guard.idle_s:g}",
        "CAPTIV_GUARD_STARTUP_S": f"{guard.startup_s:g}",
        "CAPTIV_GUARD_ENDING": ending_as_json(ending),
    }
    if deadline_s is not None:
        env["CAPTIV_GUARD_DEADLINE"] = str(deadline_s)
    if cargo is not None:
        env["CAPTIV_CARRY_SHA256"] = cargo.sha256
        env["CAPTIV_CARRY_EXTRAS"] = ",".join(terms.extras)
        env["CAPTIV_CARRY_BORN"] = f"{now_s:.0f}"
    engine = terms.brought or (None if terms.engine == "auto" else terms.engine)
    arguments = worker_arguments(
        host="0.0.0.0", port=PORT, name=name, model=terms.model, engine=engine
    )
    return PodSpec(
        name=name,
        offer=offer,
        arguments=tuple(arguments),
        env=env,
        port=PORT,
        extras=terms.extras,
        image=terms.image,
        disk_gb=terms.disk_gb,
        model_bytes=terms.variant.download_bytes,
    )


def disk_gb_for(model_bytes: int | None) -> int:
    """Return the container disk, in GB, of a pod that downloads so much of its model.

    It holds the download once, 1 GB of packages that captiv installs (unpacked) and 10 GB of slack,
    for logs, temporary files and what compilers keep. It has 20 GB at least: pods were refused for
    want of machines when they asked for 10 GB, and made when they asked for 20. A model of unknown
    size gets 50 GB.
    """
    if model_bytes is None:
        return _DISK_OF_UNKNOWN_GB
    return max(_LEAST_DISK_GB, math.ceil(model_bytes / 1e9 + _PACKAGES_GB + _SLACK_GB))


def requirement_of(package: str | None, extras: tuple[str, ...]) -> str:
    """Return what pip is asked for: this version of captiv, or where else it is, with its extras.

    The image has torch, and nothing else that captioning needs.
    """
    wanted = ",".join(extras)
    if package is None:
        return f"captiv[{wanted}]=={__version__}"
    if re.match(r"(git\+|https?://|file://)", package):
        return f"captiv[{wanted}] @ {package}"
    path = package.endswith((".whl", ".tar.gz")) and "@" not in package
    return f"{package}[{wanted}]" if path else package


_WITH_PYTHON: Final = (
    'python=$(command -v python3 || command -v python) && exec "$python" -I -c "$@"; '
    'echo "bootstrap install_failed the image has no Python"; sleep 60'
)
"""vLLM's image has no `python`, others no `python3`."""


def starting(
    arguments: tuple[str, ...], requirement: str | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return entrypoint and command of a container that gets captiv and becomes the guard.

    Args:
        arguments: the worker's.
        requirement: what pip is asked for; None where captiv brings its worker.
    """
    first = () if requirement is None else (requirement,)
    return ("sh", "-c", _WITH_PYTHON, "captiv", bootstrap.text()), (*first, *arguments)
