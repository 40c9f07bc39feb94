"""What is done to one pod by hand: found by id or name, stopped, started, terminated."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from captiv.clock import now_ms
from captiv.core.cost import DEADLINE_CAP_S, cost, dollars, price_of
from captiv.core.pods import PodRow
from captiv.errors import PodConflict, UsageError, WorkerError
from captiv.rental.account import Account
from captiv.rental.provider import Pod, Provider
from captiv.rental.reconcile import unseen_end
from captiv.rental.sweep import end
from captiv.rental.unended import Unended
from captiv.rental.views import Known, View, duration, label_of, looked
from captiv.store import Store, pods
from captiv.store.commit import commit
from captiv.wire import GuardLimits

_ANSWER_S = 180.0
"""How long a started pod's worker is waited for, to give its guard new limits."""
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """What there is under an id or a name: a pod, a row of the ledger, or both."""

    pod: Pod | None
    row: PodRow | None

    @property
    def pod_id(self) -> str | None:
        """The provider's id of it, if it ever had one."""
        if self.pod is not None:
            return self.pod.id
        return None if self.row is None else self.row.pod_id


@dataclass(frozen=True, slots=True)
class Doomed:
    """A pod that is to be terminated, and what the person is asked first."""

    found: Found
    question: str


async def find(account: Account, ledger: Store | None, id_or_name: str) -> Found:
    """Return what the provider and the ledger have under this id or name.

    Raises:
        UsageError: neither has anything, or several pods have this name.
        ProviderError: the provider cannot be asked.
    """
    row = (
        None if ledger is None else await ledger.aread(pods.find, account.provider.name, id_or_name)
    )
    listed = await account.provider.list()
    ids = {id_or_name} if row is None else {id_or_name, row.pod_id}
    named = [pod for pod in listed if pod.id in ids] or [
        pod for pod in listed if id_or_name in (pod.name, label_of(pod.name))
    ]
    if len(named) > 1:
        called = ", ".join(pod.id for pod in named)
        raise UsageError(f"Several pods are called {id_or_name}: {called}.", hint="Give an id.")
    pod = named[0] if named else await _unlisted(account.provider, id_or_name, row)
    if pod is None and row is None:
        raise UsageError(
            f"There is no pod {id_or_name}.",
            hint=f"captiv {account.provider.name} list shows those there are.",
        )
    if row is None and pod is not None and ledger is not None:
        row = await ledger.aread(pods.find, account.provider.name, pod.id)
    return Found(pod, row)


async def _unlisted(provider: Provider, id_or_name: str, row: PodRow | None) -> Pod | None:
    """Ask for one pod: the list may miss it for a while."""
    pod_id = id_or_name if row is None else row.pod_id
    if pod_id is None or not pod_id.isalnum():
        return None
    return await provider.get(pod_id)


async def alive(account: Account, ledger: Store | None, id_or_name: str) -> Pod:
    """Return the pod of this id or name.

    Raises:
        UsageError: there is none, or not any more.
    """
    found = await find(account, ledger, id_or_name)
    if found.pod is None:
        raise UsageError(f"Pod {id_or_name} is gone.")
    return found.pod


async def view(account: Account, ledger: Store | None, pod: Pod) -> View:
    """Return one pod as it is shown."""
    (seen,) = await looked(account, ledger, [pod])
    return seen


async def stop(account: Account, ledger: Store | None, id_or_name: str) -> Pod:
    """Stop a pod and return it."""
    return await account.provider.stop((await alive(account, ledger, id_or_name)).id)


async def start(
    account: Account, ledger: Store | None, id_or_name: str, on_note: Callable[[str], None]
) -> None:
    """Start a pod, and once its worker answers give its guard new limits; tell how it went."""
    pod = await alive(account, ledger, id_or_name)
    try:
        pod = await account.provider.start(pod.id)
    except PodConflict:
        if pod.startable:
            raise
        on_note(f"pod {pod.id} runs already.")
    about = await view(account, ledger, pod)
    if not about.ours:
        on_note(f"pod {pod.id} is started; it is none of this installation, and has no guard.")
        return
    limits = limits_of(account, about.known)
    with anyio.move_on_after(_ANSWER_S):
        while not await _renewed(account, pod, limits):  # noqa: ASYNC110 - nobody tells us
            await anyio.sleep(_LOOK_S)
        idle = duration(account.policy.guarded.idle_s)
        on_note(
            f"pod {pod.id} is started; its guard ends it after {idle} without a request that "
            "brings its token, as captiv's do."
        )
        return
    on_note(
        f"pod {pod.id} is started, and its worker does not answer yet; its guard keeps the limits "
        f"that it was made with. Look: captiv {account.provider.name} status {pod.id}."
    )


def limits_of(account: Account, about: Known) -> GuardLimits:
    """Return for how long a pod may live from now on: one made by hand has no deadline."""
    by_hand = about.row is not None and about.row.made_by == "hand"
    there_s = (now_ms() + account.provider.clock_ahead_ms) / 1000
    deadline = None if by_hand else there_s + DEADLINE_CAP_S
    return GuardLimits(idle_s=account.policy.guarded.idle_s, deadline=deadline)


async def _renewed(account: Account, pod: Pod, limits: GuardLimits) -> bool:
    async with account.worker(pod.id, pod.name) as worker:
        try:
            await worker.renew(limits)
        except WorkerError:
            return False
    return True


async def to_terminate(account: Account, ledger: Store, id_or_name: str) -> Doomed:
    """Return what would be ended, and what that means."""
    found = await find(account, ledger, id_or_name)
    if found.pod is None:
        return Doomed(found, f"Pod {id_or_name} is gone already. Close its row in the ledger?")
    about = await view(account, ledger, found.pod)
    gpu = found.pod.gpu or "no GPU"
    spent = "" if about.spent is None else f", {dollars(about.spent)} so far"
    users = ", ".join(f"run {run.id}" for run in about.known.users)
    whose = f" {users} uses it." if users else "" if about.ours else " It is none of captiv's here."
    return Doomed(found, f"Terminate pod {found.pod.id} ({gpu}{spent})?{whose}")


async def terminate(account: Account, ledger: Store, doomed: Doomed) -> str:
    """End the pod, see that it is gone, close its row; return what to say.

    Raises:
        PodMayBill: it was not seen to end.
    """
    found = doomed.found
    if found.pod is not None and not await end(account.provider, found.pod.id):
        provider = account.provider
        raise Unended(provider.name, found.pod.id, provider.label, provider.console).error()
    said = f"pod {found.pod_id or (found.row and found.row.name)} is gone"
    if found.row is None:
        return said + "."
    at = now_ms()
    if found.pod is None:
        at = await unseen_end(account, ledger, found.row, session=None, now_ms=at)
    await commit(ledger, pods.ended, found.row.id, at, "terminated by hand")
    if found.row.created_ms is None or found.row.state != "live":
        return said + "."
    spent = cost(price_of(found.row.price_micro), found.row.created_ms, at)
    return f"{said}; it cost {dollars(spent)} in {duration((at - found.row.created_ms) / 1000)}."
