"""What `captiv doctor` says of a provider's account: its key, its money, pods that nobody needs.

Nothing here is fatal, for captiv works without one, and nothing takes longer than `LIMIT_S`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from captiv.cli.check import Check
from captiv.cli.show import plural
from captiv.clock import now_ms
from captiv.core.cost import dollars, rate
from captiv.core.pods import Listed, Owner
from captiv.errors import AccessDenied, CaptivError, KeyRefused, NoBalance
from captiv.rental import views
from captiv.rental.provider import Balance, Pod, Provider, ProviderType, Right
from captiv.settings import Paths, Settings, installation_secret, read
from captiv.sources import PROVIDERS
from captiv.store import Store, lease

LIMIT_S = 5.0


@dataclass(slots=True)
class _Answers:
    """What the provider said in time."""

    listed: list[Pod] | None = None
    error: CaptivError | None = None
    balance: Balance | None = None
    rights: Sequence[Right] = ()


def account_checks(paths: Paths) -> Iterator[Check]:
    """Yield what is to be said of the account at each provider."""
    for kind in PROVIDERS.values():
        yield from _checks(kind, paths)


def _checks(kind: ProviderType, paths: Paths) -> Iterator[Check]:
    try:
        settings = read(paths).settings
    except CaptivError:
        yield Check(kind.label, "warn", "skipped", "Right the configuration first: see above.")
        return
    if not kind.has_key(settings):
        yield Check(kind.label, "ok", f"skipped: no API key is set ({kind.key_setting})")
        return
    answers = anyio.run(_asked, kind, settings)
    if answers.listed is None:
        yield _unusable(kind, answers.error)
        return
    there = plural(len(answers.listed), "pod")
    yield Check(kind.label, "ok", f"key accepted; {there} on the account")
    for right in answers.rights:
        if right.missing is not None:
            todo = f"Give the key the right to {right.what}."
            yield Check(kind.label, "warn", f"the key may not {right.what}: {right.missing}", todo)
    yield _money(answers.balance)
    yield from _orphans(kind, paths, answers.listed)


async def _asked(kind: ProviderType, settings: Settings) -> _Answers:
    """Ask for pods, rights and balance at once."""
    answers = _Answers()

    async def pods_of(provider: Provider) -> None:
        try:
            answers.listed = await provider.list()
        except CaptivError as error:
            answers.error = error

    async def rights_of(provider: Provider) -> None:
        with suppress(CaptivError):  # the list of pods has the same error
            answers.rights = await provider.rights()

    async def balance_of(provider: Provider) -> None:
        answers.balance = await provider.balance()

    provider = kind.open(settings)
    try:
        with anyio.move_on_after(LIMIT_S):
            async with anyio.create_task_group() as tg:
                tg.start_soon(pods_of, provider)
                tg.start_soon(rights_of, provider)
                tg.start_soon(balance_of, provider)
    finally:
        await provider.aclose()
    return answers


def _unusable(kind: ProviderType, error: CaptivError | None) -> Check:
    look = f"Look at the network, and at the settings of [{kind.name}]."
    if error is None:
        return Check(kind.label, "warn", f"its API did not answer within {LIMIT_S:g} s", look)
    if isinstance(error, KeyRefused | AccessDenied | NoBalance):
        return Check(kind.label, "warn", f"key not accepted: {error.message}", error.hint or "")
    return Check(kind.label, "warn", error.message, error.hint or look)


def _money(found: Balance | None) -> Check:
    if found is None:
        return Check("balance", "ok", "unknown")
    spending = f", spending {rate(found.spending_usd_h)}" if found.spending_usd_h else ""
    detail = dollars(found.usd) + spending
    if found.usd <= 0:
        return Check("balance", "warn", detail, NoBalance.hint or "")
    return Check("balance", "ok", detail)


def _orphans(kind: ProviderType, paths: Paths, listed: list[Pod]) -> Iterator[Check]:
    if not paths.secret_file.exists() or not paths.database.exists():
        return
    owner = Owner(kind.name, installation_secret(paths.secret_file).id)
    found = [Listed(pod.id, pod.name) for pod in listed]
    with Store.open(paths.database, read_only=True) as store:
        free = lease.is_free(paths.lock_file)
        ledger = store.read(views.known, owner, found, now_ms(), leaderless=free)
    orphans = [pod for pod, about in ledger.items() if about.orphan]
    if orphans:
        todo = (
            f"captiv {kind.name} sweep ends them; captiv {kind.name} list says why: "
            f"{', '.join(orphans)}."
        )
        yield Check("orphans", "warn", f"{plural(len(orphans), 'pod')} that nobody needs", todo)
    else:
        yield Check("orphans", "ok", "none")
