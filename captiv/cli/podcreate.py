"""`captiv runpod create`: a pod made by hand, left to its guard and to whoever made it.

The order is the rental's: the name is in the ledger before RunPod is asked, the id the moment it
arrives, and an answer that never came is settled by the name. Such a pod has no deadline: its guard
ends it when nobody has had a caption of it for the idle limit. One that does not come up while it
is waited for is ended at once, for then nothing may guard it.
"""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass

import anyio

from captiv.cli import show
from captiv.cli.account import Account
from captiv.cli.pods import RANDOM_DIGITS, duration, worker_health
from captiv.cli.request import model_choice
from captiv.cli.runs import now_ms
from captiv.core import fleet
from captiv.core.cost import micro, money, rate
from captiv.core.fleet import Move, NoOffer, Offer
from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.pods import PodRowId, pod_name
from captiv.core.spec import Captioning, Placement, RunSpec, Selection
from captiv.core.startup import Seen, Start, Waiting
from captiv.dispatch.sweep import end
from captiv.dispatch.terms import Terms, create_request, offers_of, terms_of
from captiv.errors import (
    NoCapacity,
    PodMayExist,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
    UsageError,
)
from captiv.runpod import Pod, RunpodApi
from captiv.settings import Settings, worker_token
from captiv.store import Store, pods

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
    account: Account, ledger: Store, model: str | None, *, name: str | None, wait: bool
) -> Made:
    """Make a pod from the first offer that can be had; with `wait`, until its worker is ready.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
        NoCapacity: there is no offer, or none can be had.
        ProviderError: RunPod refuses, or the pod did not come up and was ended.
        UsageError: the name is no word of small letters and digits.
    """
    terms = terms_by_hand(account.settings, account.secret.id, model)
    name_by_hand(terms.installation, name)  # refused before anything is asked
    ranking = fleet.candidates(offers_of(await account.api.gpus()), terms.demand, terms.wish)
    if isinstance(ranking, NoOffer):
        raise NoCapacity(ranking.reason)
    for note in ranking.notes:
        show.note(note)
    pod, offer = await _first_had(account, ledger, terms, ranking.offers, name)
    where = f"{offer.gpu_id}, {offer.cloud} cloud, {rate(money(pod.cost_per_hour))}"
    show.note(f"pod {pod.id} ({where}) is made, and bills from now on.")
    idle = duration(terms.guard_idle_s)
    show.note(f"its guard ends it after {idle} without work; runs use it and do not end it.")
    if wait:
        await _until_ready(account, ledger, terms, pod)
    else:
        show.note(f"how far it is: captiv runpod status {pod.id}")
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


def terms_by_hand(settings: Settings, installation: str, model: str | None) -> Terms:
    """Return the terms for a pod of this model, or the default one: those of a run without images.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
        UsageError: there is no such model.
    """
    choice = model_choice(model, None, settings)
    spec = RunSpec(
        selection=Selection(roots=()),
        captioning=Captioning(
            model=choice.family.name,
            variant=choice.variant.name,
            source=choice.variant.source,
            dtype=settings.system.default_torch_dtype,
        ),
        placement=Placement(kind="runpod", batch_size=settings.worker.batch_size),
    )
    run = Run(RunId(0), RunState.ACTIVE, spec, "", 0, True, now_ms(), None, Counts())
    return terms_of(run, settings, installation)


def name_by_hand(installation: str, name: str | None) -> str:
    """Return the name of a pod that is made by hand; `name` stands in it before what is random.

    Raises:
        UsageError: `name` is no word of small letters and digits.
    """
    token = (name or "") + secrets.token_hex(RANDOM_DIGITS // 2)
    try:
        return pod_name(installation, None, token)
    except ValueError as error:
        raise UsageError(
            f"{name!r} cannot be part of a pod's name.", hint="Use small letters and digits."
        ) from error


async def _first_had(
    account: Account, ledger: Store, terms: Terms, offers: tuple[Offer, ...], name: str | None
) -> tuple[Pod, Offer]:
    """Return the pod made from the first offer that RunPod can place."""
    refused = "no offer was tried"
    for tried, offer in enumerate(offers, start=1):
        waited = 0
        while True:
            try:
                return await _ask_for(account, ledger, terms, offer, name), offer
            except ProviderError as error:
                after_s = error.retry_after_s if isinstance(error, ProviderBusy) else None
                step = fleet.next_after(
                    error.code, tried=tried, waited=waited, retry_after_s=after_s
                )
                refused = error.message
                if step.move is Move.NEXT:
                    break
                if step.move is not Move.WAIT:
                    raise
            waited += 1
            await anyio.sleep(step.wait_s)
    raise NoCapacity(f"RunPod has nothing that fits; last it said: {refused}")


async def _ask_for(
    account: Account, ledger: Store, terms: Terms, offer: Offer, label: str | None
) -> Pod:
    """Make one pod, known to the ledger whatever happens."""
    name = name_by_hand(terms.installation, label)
    row = await ledger.awrite(
        pods.intend,
        name,
        run_id=None,
        gpu=offer.gpu_id,
        cloud=offer.cloud,
        price_micro=micro(offer.price_usd_h),
        version=terms.version,
        deadline_ms=None,
        now_ms=now_ms(),
    )
    digest = hashlib.sha256(worker_token(account.secret, name).encode()).hexdigest()
    request = create_request(terms, offer, name, digest, 0)
    env = {key: value for key, value in request.env.items() if key != "CAPTIV_GUARD_DEADLINE"}
    request = request.model_copy(update={"env": env})
    with anyio.CancelScope(shield=True):
        try:
            try:
                pod = await account.api.create(request)
            except PodMayExist as error:
                found = await _settled(account.api, error.name)
                if found is None:
                    raise NoCapacity(f"RunPod never said whether it made {name}.") from error
                pod = found
        except ProviderError as error:
            await ledger.awrite(pods.ended, row, now_ms(), error.message)
            raise
        await _arrived(account, ledger, name, pod)
    await _keep_the_price(account, ledger, terms, row, pod)
    return pod


async def _arrived(account: Account, ledger: Store, name: str, pod: Pod) -> None:
    created_ms = int(pod.created_at.timestamp() * 1000) if pod.created_at else now_ms()
    price = micro(money(pod.cost_per_hour))
    url = account.url(pod.id)
    if not await ledger.awrite(pods.arrived, name, pod.id, price, created_ms, url):
        await end(account.api, pod.id)
        raise NoCapacity(f"Another captiv has ended {name} meanwhile.")


async def _keep_the_price(
    account: Account, ledger: Store, terms: Terms, row: PodRowId, pod: Pod
) -> None:
    """End a pod that turned out dearer than allowed."""
    price = money(pod.cost_per_hour)
    if price > terms.wish.max_price_usd_h:
        await _give_up(account, ledger, row, pod, "it costs more than runpod.max_price")
        raise NoCapacity(f"Pod {pod.id} turned out to cost {rate(price)}, and was ended.")


async def _settled(api: RunpodApi, name: str) -> Pod | None:
    """Find out by its name whether a pod exists whose answer never came."""
    with anyio.move_on_after(_SETTLE_S):
        while True:
            with suppress(ProviderError):
                for pod in await api.pods():
                    if pod.name == name:
                        return pod
            await anyio.sleep(_LOOK_S)
    return None


async def _until_ready(account: Account, ledger: Store, terms: Terms, pod: Pod) -> None:
    waiting = Waiting(anyio.current_time(), terms.startup_timeout_s)
    while waiting.start is Start.WAIT:
        looked = waiting.look(await _seen(account, pod), anyio.current_time())
        if looked.phase != waiting.phase:
            show.note(f"pod {pod.id}: {looked.phase}")
        waiting = looked
        if waiting.start is Start.WAIT:
            await anyio.sleep(_LOOK_S)
    if waiting.start is Start.READY:
        return
    row = await ledger.aread(pods.find, pod.id)
    reason = waiting.reason or "it did not come up"
    await _tell_last(account.api, pod.id)
    if row is not None:
        await _give_up(account, ledger, row.id, pod, reason)
    raise ProviderError(
        f"Pod {pod.id} is given up, and ended: {reason}.", hint="Another host may do: try again."
    )


async def _seen(account: Account, pod: Pod) -> Seen:
    health = await worker_health(account, pod)
    restarts = health.restarts if health else 0
    try:
        now = await account.api.pod(pod.id)
    except (ProviderUnreachable, ProviderBusy):
        return Seen(health=health, restarts=restarts)
    return Seen(
        status="TERMINATED" if now is None else now.status.value,
        started=now is not None and now.runtime is not None,
        health=health,
        restarts=restarts,
    )


async def _tell_last(api: RunpodApi, pod_id: str) -> None:
    """Show why it did not come up, as far as its log tells."""
    with suppress(ProviderError), anyio.move_on_after(5):
        async for line in api.logs(pod_id, "system", tail=_LAST_LINES):
            show.note(f"log: {show.visible(line.text.rstrip())}")


async def _give_up(account: Account, ledger: Store, row: PodRowId, pod: Pod, reason: str) -> None:
    """End the pod; one that is still there stays `live` in the ledger."""
    if await end(account.api, pod.id):
        with anyio.CancelScope(shield=True):
            await ledger.awrite(pods.ended, row, now_ms(), reason)
    else:
        show.note(f"pod {pod.id} is still there, and bills: captiv runpod terminate {pod.id}")
