"""Where a run is done: on this machine, at a URL or on rented pods, and on what terms."""

import re
from decimal import Decimal, InvalidOperation

from captiv.catalog.model import DEVICE, DEVICES
from captiv.core.spec import Fallback, Placement, Protocol
from captiv.errors import ConfigurationError, UsageError
from captiv.request.options import Options
from captiv.settings import MAX_BATCH, Settings


def place(options: Options, settings: Settings) -> Placement:
    """Return where a run is to be done.

    Raises:
        UsageError: options that contradict each other, or a value that cannot be.
        ConfigurationError: the address in the settings is none that a token may go to.
    """
    url = options.worker or (None if options.runpod else settings.worker.url)
    if url is not None and options.runpod:
        raise UsageError("--worker and --runpod contradict each other.")
    if not options.runpod:
        _require_nothing_rented(options)
    insecure = options.insecure or settings.worker.insecure
    if url is not None:
        _check_address(url, insecure=insecure, given=options.worker is not None)
    return Placement(
        kind="rented" if options.runpod else "local" if url is None else "url",
        provider="runpod" if options.runpod else None,
        url=url,
        protocol=_protocol(options, settings, url),
        insecure=insecure,
        device=_device(options.device or settings.system.device),
        batch_size=_batch_size(options.batch_size, settings),
        gpu_type=options.gpu_type,
        max_cost_usd=_dollars(options.max_cost),
        pods=options.pods,
        terminate=options.terminate,
        fallback=_fallback(options.fallback or settings.runpod.fallback),
    )


def _check_address(url: str, *, insecure: bool, given: bool) -> None:
    """Refuse where no token may go to; what was `given` with the command is no wrong setting.

    Raises:
        UsageError, ConfigurationError: it may not go there.
    """
    from captiv.workers import check_transport

    try:
        check_transport(url, insecure=insecure)
    except ConfigurationError as error:
        if not given:
            raise
        raise UsageError(error.message, hint=error.hint) from error


def _require_nothing_rented(options: Options) -> None:
    """See that nobody who forgot --runpod believes that a pod is at work, or a cost capped."""
    given = {
        "gpu-type": options.gpu_type is not None,
        "pods": options.pods > 1,
        "max-cost": options.max_cost is not None,
        "fallback": options.fallback is not None,
        "terminate": options.terminate,
    }
    for name, is_given in given.items():
        if is_given:
            raise UsageError(f"--{name} goes with --runpod.")


def _protocol(options: Options, settings: Settings, url: str | None) -> Protocol:
    """Return what the worker speaks; one that captiv starts itself speaks captiv's."""
    asked = options.protocol or (settings.worker.protocol if url else "captiv")
    if asked not in ("captiv", "openai"):
        raise UsageError(f"--protocol is captiv or openai, not {asked!r}.")
    if asked == "openai" and url is None:
        raise UsageError("--protocol openai needs the server's address.", hint="Add --worker URL.")
    return "openai" if asked == "openai" else "captiv"


def _device(name: str) -> str:
    if not re.fullmatch(DEVICE, name):
        raise UsageError(f"--device is {DEVICES}, not {name!r}.")
    return name


def _batch_size(text: str | None, settings: Settings) -> int | None:
    """Return how many images are captioned together; None leaves it to the worker."""
    if text is None:
        return settings.worker.batch_size
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MAX_BATCH:
        raise UsageError(f"--batch-size is a number from 1 to {MAX_BATCH}, or auto, not {text!r}.")
    return int(text)


def _dollars(text: str | None) -> str | None:
    """Return what a run may cost, as a decimal."""
    if text is None:
        return None
    try:
        amount = Decimal(text.lstrip("$"))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise UsageError(f"--max-cost is an amount in dollars, more than 0, not {text!r}.")
    return str(amount)


def _fallback(text: str) -> Fallback:
    for known in ("local", "wait", "fail"):
        if text == known:
            return known
    raise UsageError(f"--fallback is local, wait or fail, not {text!r}.")
