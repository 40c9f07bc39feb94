"""Which model a worker elsewhere has loaded, for who names none: it captions with that one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from captiv.catalog import ModelChoice, Variant, choose, family_named
from captiv.errors import NoWorker, UsageError, WorkerUnreachable
from captiv.settings import Settings

if TYPE_CHECKING:
    from captiv.wire import Health

_NAMED_S = 30.0
"""How long a worker that starts may take to say what it loads; a hub answers in that time."""
_POLL_S = 0.2


def is_left_open(model: str | None, variant: str | None, settings: Settings) -> bool:
    """Return whether nobody has named a model, neither with the command nor in the settings."""
    named = model is not None or variant is not None
    return not named and "default_model" not in settings.model.model_fields_set


def loaded_by_all(urls: Sequence[str]) -> ModelChoice:
    """Return the model that the workers at `urls` serve, as far as they answer.

    Raises:
        UsageError: they serve different ones, or one that the catalog does not know.
        WorkerError: none of them answers, or one has no model.
    """
    found: dict[str, tuple[str, ModelChoice]] = {}
    silent: WorkerUnreachable | None = None
    for url in urls:
        try:
            choice = loaded_choice(url)
            found.setdefault(choice.variant.name, (url, choice))
        except WorkerUnreachable as error:
            silent = silent or error
    if not found:
        assert silent is not None
        raise silent
    if len(found) > 1:
        served = " and ".join(f"{name} ({url})" for name, (url, _) in found.items())
        raise UsageError(
            f"The workers serve different models: {served}.",
            hint="Name one with --model; a worker that serves another one takes no part.",
        )
    return next(choice for _, choice in found.values())


def loaded_choice(url: str) -> ModelChoice:
    """Return the model that the worker at `url` serves, or is loading; no token is needed for it.

    Raises:
        UsageError: it serves none that the catalog knows.
        WorkerError: it does not answer, or has no model.
    """
    health = anyio.run(_named, url)
    family = family_named(health.model or "")
    if family is None:
        raise UsageError(
            f"The worker at {url} serves {health.model}, which captiv does not know.",
            hint="Name one with --model, or install the same version of captiv on both sides.",
        )
    name = health.variant or family.default_variant
    known = choose(family.name, name) if family.variant(name) is not None else None
    return known or ModelChoice(family, Variant(name, name))


async def _named(url: str) -> "Health":
    """Return the health of the worker once it names a model."""
    from captiv.workers import WorkerClient

    client = WorkerClient(url, None, connections=1)
    try:
        with anyio.move_on_after(_NAMED_S):
            while True:
                health = await client.health()
                if health.model is not None:
                    return health
                if health.status != "loading":
                    raise NoWorker(f"The worker at {url} has no model: {health.reason}")
                await anyio.sleep(_POLL_S)
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()
    raise NoWorker(
        f"The worker at {url} does not say which model it loads.", hint="Name it with --model."
    )
