"""What can be asked of an account before anything is rented: key, rights, credit, offers.

All of it is asked at once and within a limit; what is not answered in time is not known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn

import anyio

from captiv.core.cost import dollars, rate
from captiv.core.findings import Finding
from captiv.core.fleet import NoOffer, Offer, candidates
from captiv.core.spec import RunSpec
from captiv.errors import (
    AccessDenied,
    CaptivError,
    ConfigurationError,
    KeyRefused,
    NoBalance,
    NoCapacity,
)
from captiv.offload import offload
from captiv.rental.podspec import demand_by, extras_of, model_of, wish_of
from captiv.rental.provider import Balance, Pod, Provider, ProviderType, Right
from captiv.rental.views import duration
from captiv.settings import Settings
from captiv.workers import MOMENT_S, Check

_ANSWERED_S: Final = MOMENT_S - 0.5
"""So that what was answered counts, when one of several answers does not come."""
_DECISIVE = (KeyRefused, AccessDenied, NoBalance, ConfigurationError)
"""Errors that will not pass while one waits."""


@dataclass(slots=True)
class Answers:
    """What the provider said in time."""

    listed: list[Pod] | None = None
    error: CaptivError | None = None
    balance: Balance | None = None
    rights: Sequence[Right] = ()
    offers: list[Offer] | None = None
    clock_ahead_ms: int = 0
    """By how much the provider's clock is ahead of this machine's."""
    limit_s: float = MOMENT_S
    """The time it had."""
    unfit: CaptivError | None = None
    """Why what a pod is to run cannot be had."""

    def keep(self, error: CaptivError) -> None:
        """Keep why a question has no answer: it is the settings that are wrong, or the account."""
        if isinstance(error, ConfigurationError):
            self.unfit = error
        else:
            self.error = self.error or error


async def asked(
    kind: ProviderType,
    settings: Settings,
    limit_s: float,
    *,
    extras: tuple[str, ...] | None = None,
) -> Answers:
    """Ask for pods, rights and credit at once; with `extras`, for offers and contents, too.

    Raises:
        ConfigurationError: there is no key.
    """
    answers = Answers(limit_s=limit_s)

    async def pods_of(provider: Provider) -> None:
        try:
            answers.listed = await provider.list()
        except CaptivError as error:
            answers.error = error

    async def rights_of(provider: Provider) -> None:
        try:
            answers.rights = await provider.rights()
        except CaptivError as error:
            answers.error = answers.error or error

    async def balance_of(provider: Provider) -> None:
        answers.balance = await provider.balance()

    async def offers_of(provider: Provider) -> None:
        try:
            answers.offers = await provider.offers()
        except CaptivError as error:
            answers.keep(error)

    async def contents_of(provider: Provider) -> None:
        try:
            await provider.verify(extras or (), None)
        except CaptivError as error:
            answers.keep(error)

    provider = await offload(kind.open, settings)
    questions = [pods_of, rights_of, balance_of]
    questions += [] if extras is None else [offers_of, contents_of]
    try:
        with anyio.move_on_after(limit_s):
            async with anyio.create_task_group() as tg:
                for question in questions:
                    tg.start_soon(question, provider)
    finally:
        answers.clock_ahead_ms = provider.clock_ahead_ms
        with anyio.CancelScope(shield=True):
            await provider.aclose()
    return answers


def rental_checks(
    kind: ProviderType, spec: RunSpec, settings: Settings, *, rents: bool
) -> Sequence[Check]:
    """Return what is looked at before a run that rents.

    Args:
        kind: of whom it rents.
        spec: what the run is to do.
        settings: the account's key, and what may be rented.
        rents: False where a pod is there that the run may use: then no offer has to be.
    """
    return (Check(kind.label, partial(_looked, kind, spec, settings, rents=rents)),)


async def _looked(
    kind: ProviderType, spec: RunSpec, settings: Settings, *, rents: bool
) -> Sequence[Finding]:
    policy = kind.policy(settings)
    model = model_of(spec.captioning, spec.placement.batch_size)
    rents = rents and policy.create
    answers = await asked(kind, settings, _ANSWERED_S, extras=extras_of(model) if rents else None)
    if rents and answers.offers is not None:
        ranking = candidates(
            answers.offers, demand_by(policy, spec), wish_of(spec.placement, policy)
        )
        if isinstance(ranking, NoOffer):
            _refuse(kind, ranking)
    return list(account_findings(kind, answers))


def _refuse(kind: ProviderType, none: NoOffer) -> NoReturn:
    if none.missing == "type":
        raise none.error(kind.name)
    raise NoCapacity(none.reason, hint=" ".join(filter(None, (none.hint, NoCapacity.hint))))


def account_findings(kind: ProviderType, answers: Answers) -> Iterator[Finding]:
    """Yield what is to be said of an account."""
    if answers.unfit is not None:
        yield Finding.failed(f"{kind.label} pods", answers.unfit)
    lacking = [right for right in answers.rights if right.missing is not None]
    if not lacking and (answers.error is not None or answers.listed is None):
        yield _unusable(kind, answers)
        return
    if answers.listed is not None:
        there = f"{len(answers.listed)} pod{'' if len(answers.listed) == 1 else 's'}"
        yield Finding(kind.label, "ok", f"key accepted; {there} on the account")
    for right in lacking:
        denied = AccessDenied(
            f"the key may not {right.what}: {right.missing}",
            hint=f"Give the key the right to {right.what}.",
        )
        yield Finding.failed(kind.label, denied)
    yield _money(kind, answers.balance)
    if answers.clock_ahead_ms:
        wrong = duration(abs(answers.clock_ahead_ms) / 1000)
        way = "slow" if answers.clock_ahead_ms > 0 else "fast"
        yield Finding(
            "clock",
            "warn",
            f"this machine's clock is {wrong} {way} by {kind.label}'s",
            "Have it set over the network; captiv reckons with the difference.",
        )


def _unusable(kind: ProviderType, answers: Answers) -> Finding:
    error = answers.error
    look = f"Look at the network, and at the settings of [{kind.name}]."
    if error is None:
        return Finding(
            kind.label, "warn", f"its API did not answer within {answers.limit_s:g} s", look
        )
    if isinstance(error, _DECISIVE):
        detail = f"key not accepted: {error.message}"
        return Finding(kind.label, "fail", detail, error.hint or "", error)
    return Finding(kind.label, "warn", error.message, error.hint or look)


def _money(kind: ProviderType, found: Balance | None) -> Finding:
    if found is None:
        return Finding("balance", "ok", "unknown")
    spending = f", spending {rate(found.spending_usd_h)}" if found.spending_usd_h else ""
    detail = dollars(found.usd) + spending
    if found.usd > 0:
        return Finding("balance", "ok", detail)
    error = NoBalance(f"The {kind.label} account has no credit left ({dollars(found.usd)}).")
    return Finding("balance", "fail", detail, error.hint or "", error)
