"""Where a run is done, and on what terms: on this machine, at URLs, on rented pods, or on all."""

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from captiv.catalog.engines import ENGINES, EngineWish
from captiv.catalog.model import DEVICE_LIST, DEVICE_LISTS
from captiv.core.cost import money
from captiv.core.spec import Fallback, Placement, Protocol, Site
from captiv.errors import ConfigurationError, UsageError
from captiv.request.options import Options
from captiv.settings import MAX_BATCH, Settings

_ALL = "all"
NO_CAP = "none"
"""Instead of an amount: the run has no cap, whatever the settings say."""


def place(options: Options, settings: Settings) -> Placement:
    """Return where a run is to be done.

    Raises:
        UsageError: options that contradict each other, or a value that cannot be.
        ConfigurationError: the address in the settings is none that a token may go to.
    """
    urls = _urls(options, settings)
    if not options.runpod:
        _require_nothing_rented(options)
    insecure = options.insecure or settings.worker.insecure
    for url in urls:
        _check_address(url, insecure=insecure, given=bool(options.worker))
    protocol = _protocol(options, settings, urls)
    here = options.local or not (urls or options.runpod)
    devices = _devices(options, settings, here=here)
    sites = [Site(kind="rented", provider="runpod")] if options.runpod else []
    sites += [Site(kind="url", url=url, protocol=protocol) for url in urls]
    sites += [Site(device=device) for device in devices] if here else []
    first, *beside = sites
    return Placement(
        kind=first.kind,
        provider=first.provider,
        url=first.url,
        protocol=first.protocol,
        device=devices[0],
        beside=tuple(beside),
        insecure=insecure,
        engine=_engine(options, settings, here=here),
        batch_size=_batch_size(options.batch_size, settings),
        gpu_type=options.gpu_type,
        max_cost_usd=_cap(options, settings),
        max_cost_said=options.max_cost is not None,
        pods=options.pods,
        terminate=options.terminate,
        fallback=_fallback(options.fallback or settings.runpod.fallback),
        fallback_said=options.fallback is not None,
    )


def _urls(options: Options, settings: Settings) -> Sequence[str]:
    """Return where workers are asked for; the one of the settings where nothing else is said.

    Raises:
        UsageError: one is given twice.
    """
    if not options.worker:
        url = settings.worker.url
        return () if url is None or options.runpod or options.local else (url,)
    times = Counter(url.rstrip("/") for url in options.worker)
    for url, n in times.items():
        if n > 1:
            raise UsageError(
                f"--worker {url} is given {'twice' if n == 2 else f'{n} times'}.",
                hint="A worker takes as much as it can do at once; naming it again adds nothing.",
            )
    return tuple(options.worker)


def _devices(options: Options, settings: Settings, *, here: bool) -> Sequence[str]:
    """Return the devices of this machine's workers; one where only a fallback may need it.

    Raises:
        UsageError: a device that cannot be, or not beside the others; or no worker has it.
    """
    given = options.device or settings.system.device
    if not re.fullmatch(DEVICE_LIST, given):
        raise UsageError(f"--device is {DEVICE_LISTS}, not {given!r}.")
    if not here:
        return (_spare(options, given),)
    if given == _ALL:
        from captiv.workers.machine import all_devices

        return all_devices() or ("auto",)
    devices = given.split(",")
    if len(devices) > 1 and "auto" in devices:
        raise UsageError("--device auto is one device; name each of several, or all.")
    for device, n in Counter(_numbered(device) for device in devices).items():
        if n > 1 and device != "cpu":
            raise UsageError(
                f"--device has {device} more than once.",
                hint="One worker fills a GPU; --batch-size says how much it does at once.",
            )
    return devices


def _engine(options: Options, settings: Settings, *, here: bool) -> EngineWish:
    """Return what is to drive the model.

    Raises:
        UsageError: there is no such engine, or captiv starts no worker for this run.
    """
    for engine in ENGINES:
        if engine == (options.engine or settings.system.engine):
            break
    else:
        raise UsageError(f"--engine is {' or '.join(ENGINES)}, not {options.engine!r}.")
    if options.engine is not None and not (here or options.runpod):
        raise UsageError(
            "--engine is for workers that captiv starts, and this run has none.",
            hint="captiv-worker --engine says it where the worker is started.",
        )
    return engine


def _spare(options: Options, given: str) -> str:
    """Return the device for a run that would only fall back to this machine."""
    several = given == _ALL or "," in given
    if options.device is not None and (several or not options.runpod):
        raise UsageError(
            "--device is for workers on this machine, and this run has none.",
            hint="--local has this machine caption beside the others.",
        )
    return "auto" if several else given


def _numbered(device: str) -> str:
    """Return a device with the number that it has if none is named."""
    return f"{device}:0" if device in ("cuda", "xpu") else device


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


def _protocol(options: Options, settings: Settings, urls: Sequence[str]) -> Protocol:
    """Return what the workers at URLs speak; one that captiv starts itself speaks captiv's."""
    asked = options.protocol or (settings.worker.protocol if urls else "captiv")
    if asked not in ("captiv", "openai"):
        raise UsageError(f"--protocol is captiv or openai, not {asked!r}.")
    if asked == "openai" and not urls:
        raise UsageError("--protocol openai needs the server's address.", hint="Add --worker URL.")
    return "openai" if asked == "openai" else "captiv"


def _batch_size(text: str | None, settings: Settings) -> int | None:
    """Return how many images are captioned together; None leaves it to the worker."""
    if text is None:
        return settings.worker.batch_size
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MAX_BATCH:
        raise UsageError(f"--batch-size is a number from 1 to {MAX_BATCH}, or auto, not {text!r}.")
    return int(text)


def _cap(options: Options, settings: Settings) -> str | None:
    """Return what the run may cost, as a decimal: by the command, else by the settings."""
    if options.max_cost is not None:
        return _dollars(options.max_cost)
    configured = settings.runpod.max_cost
    if configured is None or configured == NO_CAP or not options.runpod:
        return None
    return f"{money(configured):f}"


def _dollars(text: str) -> str | None:
    """Return an amount as a decimal; None of a cap that there is to be none of.

    Raises:
        UsageError: it is no amount.
    """
    if text == NO_CAP:
        return None
    try:
        amount = Decimal(text.lstrip("$"))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise UsageError(
            f"--max-cost is an amount in dollars, more than 0, or {NO_CAP}, not {text!r}."
        )
    return str(amount)


def _fallback(text: str) -> Fallback:
    for known in ("local", "wait", "fail"):
        if text == known:
            return known
    raise UsageError(f"--fallback is local, wait or fail, not {text!r}.")
