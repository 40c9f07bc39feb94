"""A pod made by hand, left to its guard and to whoever made it.

Such a pod has no deadline: its guard ends it when nobody has had a caption of it for the idle
limit. One that does not come up while it is waited for is ended at once, for then nothing may guard
it.
"""

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio

from captiv.clock import now_ms
from captiv.core.cost import rate
from captiv.core.fleet import Offer, Ranking
from captiv.core.jobs import RunId
from captiv.core.phase import OnPhase
from captiv.core.pods import Owner, pod_name
from captiv.errors import ProviderError, UsageError
from captiv.offload import offload
from captiv.rental.account import Account
from captiv.rental.estimate import by_hand
from captiv.rental.measured import STARTS
from captiv.rental.podspec import Terms, demand_of, engine_in_pod
from captiv.rental.provider import Pod, Provider
from captiv.rental.provision import Provisioning, RentalContext, Rented
from captiv.rental.startup import come_up, lasting_error
from captiv.rental.unended import Unended
from captiv.rental.views import RANDOM_DIGITS, duration, pool
from captiv.store import Store, starts
from captiv.wire import ModelChange

_log = logging.getLogger(__name__)

_SETTLE_S = 60.0
"""A new pod may be missing in the list at first."""
_LOOK_S = 1.0
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class CreatedPod:
    """A pod that was made."""

    pod: Pod
    offer: Offer
    ready: bool
    """Whether its worker was seen to be ready."""


async def create(
    account: Account,
    ledger: Store,
    model: ModelChange,
    *,
    name: str | None,
    wait: bool,
    image: str | None = None,
    disk_gb: int | None = None,
    gpu_type: str | None = None,
    on_note: Callable[[str], None],
    on_phase: OnPhase,
) -> CreatedPod:
    """Make a pod from the first offer that can be had; with `wait`, until its worker is ready.

    `on_note` is told what a person should know meanwhile, `on_phase` how far the pod is. `image`
    and `disk_gb` go before those of the settings, and before a template's; a `gpu_type` that is
    given has to exist.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
        NoCapacity: there is no offer, or none can be had.
        PodMayBill: the pod did not come up, and was not seen to end.
        ProviderError: the provider refuses, or the pod did not come up and was ended.
        UsageError: the name is no word of small letters and digits, or there is no such GPU type.
    """
    terms = terms_by_hand(account, model, gpu_type)
    name_by_hand(terms.owner, name)  # refused before anything is asked
    if image is not None or disk_gb is not None:  # given with the command, they go before all else
        terms = replace(terms, image=image, disk_gb=disk_gb)
    await offload(terms.pack)
    provisioning = Provisioning(
        RentalContext(account, ledger, now_ms, on_note, _LOOK_S),
        terms,
        run_id=None,
        new_name=lambda: name_by_hand(terms.owner, name),
    )

    async def announce(ranking: Ranking) -> None:
        provider, idle_s = account.provider.name, terms.policy.guarded.idle_s
        before = await ledger.aread(starts.latest, provider, STARTS)
        said = by_hand(ranking.offers[0], terms, before).sentence_by_hand(idle_s)
        _log.info("rental priced by=hand %s", said)
        on_note(said)

    try:
        made = await provisioning.rent(_without_deadline, announce)
        pod, offer = made.pod, made.offer
        where = f"{offer.gpu_id}{pool(offer.cloud)}, {rate(pod.price_usd_h)}"
        on_note(f"pod {pod.id} ({where}) is made, and bills from now on.")
        idle = duration(terms.policy.guarded.idle_s)
        on_note(
            f"its guard ends it after {idle} without a request that brings its token, as captiv's "
            "do; runs use it and do not end it."
        )
        if wait:
            await _until_ready(account, terms, provisioning, made, on_note, on_phase)
        else:
            on_note(f"how far it is: captiv {account.provider.name} status {pod.id}")
    finally:
        await provisioning.end_doubtful()
    return CreatedPod(pod, offer, ready=wait)


def as_json(made: CreatedPod) -> dict[str, object]:
    """Return a pod that was made, for JSON."""
    return {
        "pod": made.pod.id,
        "name": made.pod.name,
        "gpu": made.offer.gpu_id,
        "cloud": made.offer.cloud,
        "price_usd_h": float(made.pod.price_usd_h),
        "ready": made.ready,
    }


def terms_by_hand(account: Account, model: ModelChange, gpu_type: str | None = None) -> Terms:
    """Return the terms for a pod that loads this model: nobody's run pays, so nothing caps them."""
    policy = account.policy
    if gpu_type is not None:
        wish = replace(policy.wish, gpu_type=gpu_type.strip() or None, named="command")
        policy = replace(policy, wish=wish)
    return Terms(
        owner=account.owner,
        run_id=RunId(0),
        demand=demand_of(model, engine_in_pod(policy, model, "auto", None)),
        policy=policy,
        model=model,
    )


def name_by_hand(owner: Owner, name: str | None) -> str:
    """Return the name of a pod that is made by hand; `name` stands in it before what is random.

    Raises:
        UsageError: `name` is no word of small letters and digits.
    """
    random = secrets.token_hex(RANDOM_DIGITS // 2)
    try:
        token = random if name is None else f"{name}-{random}"
        return pod_name(owner.provider, owner.installation, None, token)
    except ValueError as error:
        raise UsageError(
            f"{name!r} cannot be part of a pod's name.", hint="Use small letters and digits."
        ) from error


async def _without_deadline(_offer: Offer) -> None:
    """A pod made by hand ends when it is idle, and not before."""


async def _until_ready(
    account: Account,
    terms: Terms,
    provisioning: Provisioning,
    made: Rented,
    on_note: Callable[[str], None],
    on_phase: OnPhase,
) -> None:
    pod = made.pod
    async with account.worker(pod.id, pod.name) as worker:
        failed = await come_up(
            account.provider,
            worker,
            pod.id,
            timeout_s=terms.policy.startup_timeout_s,
            on_phase=on_phase,
        )
    if failed is None:
        return
    await _tell_last(account.provider, pod.id, on_note)
    if not await provisioning.give_up(made.row, failed.reason):
        provider = account.provider
        raise Unended(provider.name, pod.id, provider.label, provider.console).error()
    message = f"Pod {pod.id} is given up, and ended: {failed.reason.rstrip('.')}."
    if failed.alike:
        raise lasting_error(failed, message)
    raise ProviderError(message, hint="Another host may do: try again.")


async def _tell_last(provider: Provider, pod_id: str, on_note: Callable[[str], None]) -> None:
    """Show why it did not come up, as far as its log tells."""
    with suppress(ProviderError), anyio.move_on_after(5):
        async for line in provider.logs(pod_id, "system", tail=_LAST_LINES):
            on_note(f"log: {line.text.rstrip()}")
