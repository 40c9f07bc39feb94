"""What `captiv doctor` says of the RunPod account: its key, its money, pods that nobody needs.

Nothing here is fatal, for captiv works without RunPod, and nothing takes longer than `LIMIT_S`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import anyio

from captiv.cli.check import Check
from captiv.cli.show import plural
from captiv.clock import now_ms
from captiv.core.cost import dollars, money, rate
from captiv.core.pods import Listed
from captiv.errors import AccessDenied, CaptivError, KeyRefused, NoBalance
from captiv.rental import views
from captiv.rental.runpod import Balance, Pod, RunpodApi
from captiv.settings import Paths, installation_secret, read
from captiv.settings.schema import RunpodSettings
from captiv.store import Store, lease

LIMIT_S = 5.0

_NAME = "RunPod"


@dataclass(slots=True)
class _Answers:
    """What RunPod said in time."""

    listed: list[Pod] | None = None
    error: CaptivError | None = None
    balance: Balance | None = None


def account_checks(paths: Paths) -> Iterator[Check]:
    """Yield what is to be said of the account."""
    try:
        settings = read(paths).settings.runpod
    except CaptivError:
        yield Check(_NAME, "warn", "skipped", "Right the configuration first: see above.")
        return
    if settings.api_key is None:
        yield Check(_NAME, "ok", "skipped: no API key is set (runpod.api_key, RUNPOD_API_KEY)")
        return
    answers = anyio.run(_asked, settings)
    if answers.listed is None:
        yield _unusable(answers.error, settings)
        return
    yield Check(_NAME, "ok", f"key accepted; {plural(len(answers.listed), 'pod')} on the account")
    yield _money(answers.balance)
    yield from _orphans(paths, answers.listed)


async def _asked(settings: RunpodSettings) -> _Answers:
    """Ask for pods and balance at once, each once."""
    assert settings.api_key is not None
    answers = _Answers()

    async def pods_of(api: RunpodApi) -> None:
        try:
            answers.listed = await api.pods()
        except CaptivError as error:
            answers.error = error

    async def balance_of(api: RunpodApi) -> None:
        answers.balance = await api.balance()

    async with RunpodApi(settings.api_key.get_secret_value(), url=settings.api_url) as api:
        with anyio.move_on_after(LIMIT_S):
            async with anyio.create_task_group() as tg:
                tg.start_soon(pods_of, api)
                tg.start_soon(balance_of, api)
    return answers


def _unusable(error: CaptivError | None, settings: RunpodSettings) -> Check:
    if error is None:
        said = f"{settings.api_url} did not answer within {LIMIT_S:g} s"
        return Check(_NAME, "warn", said, "Look at the network, and at runpod.api_url.")
    if isinstance(error, KeyRefused | AccessDenied | NoBalance):
        return Check(_NAME, "warn", f"key not accepted: {error.message}", error.hint or "")
    todo = error.hint or "Look at the network, and at runpod.api_url."
    return Check(_NAME, "warn", error.message, todo)


def _money(found: Balance | None) -> Check:
    if found is None:
        return Check("balance", "ok", "unknown")
    spending = money(found.spend_per_hour)
    detail = dollars(money(found.balance)) + (f", spending {rate(spending)}" if spending else "")
    if found.balance <= 0:
        return Check("balance", "warn", detail, NoBalance.hint or "")
    return Check("balance", "ok", detail)


def _orphans(paths: Paths, listed: list[Pod]) -> Iterator[Check]:
    if not paths.secret_file.exists() or not paths.database.exists():
        return
    installation, at = installation_secret(paths.secret_file).id, now_ms()
    found = [Listed(pod.id, pod.name) for pod in listed]
    with Store.open(paths.database, read_only=True) as store:
        ledger = store.read(
            views.known,
            installation,
            found,
            at - views.WANTED_MS,
            at,
            leaderless=lease.is_free(paths.lock_file),
        )
    orphans = [pod for pod, about in ledger.items() if about.orphan]
    if orphans:
        names = ", ".join(orphans)
        todo = f"captiv runpod sweep ends them; captiv runpod list says why: {names}."
        yield Check("orphans", "warn", f"{plural(len(orphans), 'pod')} that nobody needs", todo)
    else:
        yield Check("orphans", "ok", "none")
