"""`captiv runpod create`: a pod made by hand, left to its guard and to whoever made it.

Such a pod has no deadline: its guard ends it when nobody has had a caption of it for the idle
limit. One that does not come up while it is waited for is ended at once, for then nothing may guard
it.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import anyio

from captiv.catalog import ModelChoice
from captiv.clock import now_ms
from captiv.core.cost import money, rate
from captiv.core.fleet import Offer
from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.phase import OnPhase
from captiv.core.pods import pod_name
from captiv.core.spec import Captioning, Placement, RunSpec, Selection
from captiv.errors import (
    ProviderError,
    UsageError,
)
from captiv.rental.account import Account
from captiv.rental.podspec import Terms, terms_of
from captiv.rental.provision import Rented, Renting
from captiv.rental.runpod import Pod, RunpodApi
from captiv.rental.startup import come_up
from captiv.rental.views import RANDOM_DIGITS, duration
from captiv.settings import Settings, worker_token
from captiv.store import Store

_SETTLE_S = 60.0
"""A new pod may be missing in the list at first."""
_LOOK_S = 1.0
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Made:
    """A pod that was made."""

    pod: Pod
    offer: Offer
    ready: bool
    """Whether its worker was seen to be ready."""


async def create(
    account: Account,
    ledger: Store,
    choice: ModelChoice,
    *,
    name: str | None,
    wait: bool,
    image: str | None = None,
    disk_gb: int | None = None,
    gpu_type: str | None = None,
    on_note: Callable[[str], None],
    on_phase: OnPhase,
) -> Made:
    """Make a pod from the first offer that can be had; with `wait`, until its worker is ready.

    `on_note` is told what a person should know meanwhile, `on_phase` how far the pod is. `image`
    and `disk_gb` go before those of the settings, and before a template's; a `gpu_type` that is
    given has to exist.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
        NoCapacity: there is no offer, or none can be had.
        ProviderError: RunPod refuses, or the pod did not come up and was ended.
        UsageError: the name is no word of small letters and digits, or there is no such GPU type.
    """
    terms = terms_by_hand(account.settings, account.secret.id, choice, gpu_type)
    name_by_hand(terms.installation, name)  # refused before anything is asked
    if image is not None or disk_gb is not None:  # given with the command, they go before all else
        terms = replace(terms, image=image or terms.image, disk_gb=disk_gb or terms.disk_gb)
    renting = Renting(
        account.api,
        ledger,
        terms,
        run_id=None,
        token_of=partial(worker_token, account.secret),
        new_name=lambda: name_by_hand(terms.installation, name),
        now_ms=now_ms,
        on_note=on_note,
        look_s=_LOOK_S,
    )
    try:
        made = await renting.rent(_without_deadline)
        pod, offer = made.pod, made.offer
        where = f"{offer.gpu_id}, {offer.cloud} cloud, {rate(money(pod.cost_per_hour))}"
        on_note(f"pod {pod.id} ({where}) is made, and bills from now on.")
        idle = duration(terms.guard_idle_s)
        on_note(
            f"its guard ends it after {idle} without a request that brings its token, as captiv's "
            "do; runs use it and do not end it."
        )
        if wait:
            await _until_ready(account, terms, renting, made, on_note, on_phase)
        else:
            on_note(f"how far it is: captiv runpod status {pod.id}")
    finally:
        await renting.end_doubtful()
    return Made(pod, offer, ready=wait)


def as_json(made: Made) -> dict[str, object]:
    """Return a pod that was made, for JSON."""
    return {
        "pod": made.pod.id,
        "name": made.pod.name,
        "gpu": made.offer.gpu_id,
        "cloud": made.offer.cloud,
        "price_usd_h": made.pod.cost_per_hour,
        "ready": made.ready,
    }


def terms_by_hand(
    settings: Settings, installation: str, choice: ModelChoice, gpu_type: str | None = None
) -> Terms:
    """Return the terms for a pod that loads this model: those of a run without images.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
    """
    spec = RunSpec(
        selection=Selection(roots=()),
        captioning=Captioning(
            model=choice.family.name,
            variant=choice.variant.name,
            source=choice.variant.source,
            dtype=choice.family.precision(settings.system.default_torch_dtype),
        ),
        placement=Placement(
            kind="rented",
            provider="runpod",
            batch_size=settings.worker.batch_size,
            gpu_type=gpu_type,
        ),
    )
    run = Run(RunId(0), RunState.ACTIVE, spec, "", 0, True, now_ms(), None, Counts())
    return terms_of(run, settings, installation)


def name_by_hand(installation: str, name: str | None) -> str:
    """Return the name of a pod that is made by hand; `name` stands in it before what is random.

    Raises:
        UsageError: `name` is no word of small letters and digits.
    """
    random = secrets.token_hex(RANDOM_DIGITS // 2)
    try:
        return pod_name(installation, None, random if name is None else f"{name}-{random}")
    except ValueError as error:
        raise UsageError(
            f"{name!r} cannot be part of a pod's name.", hint="Use small letters and digits."
        ) from error


async def _without_deadline(_offer: Offer) -> None:
    """A pod made by hand ends when it is idle, and not before."""


async def _until_ready(
    account: Account,
    terms: Terms,
    renting: Renting,
    made: Rented,
    on_note: Callable[[str], None],
    on_phase: OnPhase,
) -> None:
    pod = made.pod
    async with account.worker(pod.id, pod.name) as worker:
        reason = await come_up(
            account.api,
            worker,
            pod.id,
            timeout_s=terms.startup_timeout_s,
            on_phase=on_phase,
        )
    if not reason:
        return
    await _tell_last(account.api, pod.id, on_note)
    gone = await renting.give_up(made.row, reason)
    raise ProviderError(
        f"Pod {pod.id} is given up{', and ended' if gone else ''}: {reason}.",
        hint="Another host may do: try again.",
    )


async def _tell_last(api: RunpodApi, pod_id: str, on_note: Callable[[str], None]) -> None:
    """Show why it did not come up, as far as its log tells."""
    with suppress(ProviderError), anyio.move_on_after(5):
        async for line in api.logs(pod_id, "system", tail=_LAST_LINES):
            on_note(f"log: {line.text.rstrip()}")
