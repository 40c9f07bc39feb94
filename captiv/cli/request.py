"""From the options of a command line, and the settings behind them, to a run's specification."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from captiv.catalog import ModelChoice, build_prompt, choose, choose_source
from captiv.core.naming import checked_extension, checked_naming, is_image_name
from captiv.core.spec import Captioning, Fallback, Output, Overwrite, Placement, RunSpec, Selection
from captiv.errors import UsageError
from captiv.settings import Settings
from captiv.wire import Generation


@dataclass(frozen=True, slots=True)
class Options:
    """What a person gave; None is not given, and the settings decide."""

    paths: Sequence[Path] = ()
    recursive: bool = False
    overwrite: Overwrite = "no"
    limit: int | None = None
    model: str | None = None
    variant: str | None = None
    mode: str | None = None
    prompt: str | None = None
    prompt_options: Sequence[str] = ()
    prompt_variables: Mapping[str, str] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    device: str | None = None
    batch_size: int | None = None
    save: bool = True
    extension: str | None = None
    sidecar_name: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    worker: str | None = None
    insecure: bool = False
    runpod: bool = False
    gpu_type: str | None = None
    max_cost: str | None = None
    fallback: str | None = None


def request(options: Options, settings: Settings) -> tuple[RunSpec, ModelChoice]:
    """Return what is asked for.

    Raises:
        UsageError: a path, model, mode, option or value that cannot be.
    """
    _require_text(prompt=options.prompt, prefix=options.prefix, suffix=options.suffix)
    choice = model_choice(options.model, options.variant, settings)
    spec = RunSpec(
        selection=Selection(
            roots=_roots(options.paths),
            recursive=options.recursive,
            overwrite=options.overwrite,
            limit=options.limit,
        ),
        captioning=_captioning(options, settings, choice),
        output=_output(options, settings),
        placement=_placement(options, settings),
    )
    return spec, choice


def model_choice(model: str | None, variant: str | None, settings: Settings) -> ModelChoice:
    """Return the checkpoint that these names, or the settings, stand for."""
    name = model or settings.model.default_model
    known = choose(name)
    if known is not None:
        configured = (
            settings.model.variant_for(known.family.name) if known.family.name == name else None
        )
        return choose(name, variant or configured) or known
    if variant is not None:
        raise UsageError(f"--variant goes with a model of the catalog; {name!r} is none.")
    from captiv.workers.hub import read_config

    folder = Path(name).expanduser()
    source = str(folder.resolve()) if folder.is_dir() else name
    return choose_source(source, read_config(source))


def pairs(text: str | None, flag: str) -> dict[str, str]:
    """Return `a=b,c=d` as a mapping."""
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{flag} takes name=value, separated by commas; {part!r} is none.")
        found[name.strip()] = value.strip()
    return found


def words(text: str | None) -> tuple[str, ...]:
    """Return `a,b` as a tuple."""
    return tuple(filter(None, (part.strip() for part in (text or "").split(","))))


def _require_text(**given: str | None) -> None:
    """Refuse bytes that are no text: they could be neither sent nor written."""
    for name, value in given.items():
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"--{name} is not text in UTF-8.") from error


def _roots(paths: Sequence[Path]) -> tuple[str, ...]:
    roots: list[str] = []
    for path in paths or (Path(),):
        absolute = os.path.abspath(path.expanduser())  # noqa: PTH100 - links stay as they were named
        if not os.path.exists(absolute):
            raise UsageError(f"There is no {absolute}.", hint="Name image files or folders.")
        if os.path.isfile(absolute) and not is_image_name(absolute):
            raise UsageError(
                f"{absolute} is not an image that captiv knows.",
                hint="It reads JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF.",
            )
        roots.append(absolute)
    return tuple(dict.fromkeys(roots))


def _captioning(options: Options, settings: Settings, choice: ModelChoice) -> Captioning:
    family = choice.family
    mode = options.mode or settings.model.mode_for(family.name) or "default"
    generation = _generation(options, settings).over(family.generation)
    if (generation.min_new_tokens or 0) > (generation.max_new_tokens or 4096):
        raise UsageError(
            f"--min-new-tokens ({generation.min_new_tokens}) is more than --max-new-tokens "
            f"({generation.max_new_tokens})."
        )
    return Captioning(
        model=family.name,
        variant=choice.variant.name,
        source=choice.variant.source,
        mode=mode,
        prompt=build_prompt(
            family,
            mode=mode,
            prompt=options.prompt,
            options=options.prompt_options,
            variables=options.prompt_variables,
        ),
        generation=generation,
        dtype=options.dtype or settings.system.default_torch_dtype,
    )


def _generation(options: Options, settings: Settings) -> Generation:
    given = {name: value for name, value in options.generation.items() if value is not None}
    configured = settings.generation.model_dump(exclude_none=True)
    try:
        merged = Generation.model_validate({**configured, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{name}: {first['msg']}.") from error
    return merged


def _output(options: Options, settings: Settings) -> Output:
    defaults = settings.output
    return Output(
        save=options.save,
        extension=checked_extension(options.extension or defaults.extension),
        naming=checked_naming(options.sidecar_name or defaults.sidecar_name),
        prefix=defaults.prefix if options.prefix is None else options.prefix,
        suffix=defaults.suffix if options.suffix is None else options.suffix,
    )


def _placement(options: Options, settings: Settings) -> Placement:
    url = options.worker or (None if options.runpod else settings.worker.url)
    if url is not None and options.runpod:
        raise UsageError("--worker and --runpod contradict each other.")
    insecure = options.insecure or settings.worker.insecure
    if url is not None:
        from captiv.workers import check_transport

        check_transport(url, insecure=insecure)
    return Placement(
        kind="runpod" if options.runpod else "local" if url is None else "url",
        url=url,
        insecure=insecure,
        device=options.device or settings.system.device,
        batch_size=options.batch_size or settings.worker.batch_size,
        gpu_type=options.gpu_type,
        max_cost_usd=_dollars(options.max_cost),
        fallback=_fallback(options.fallback or settings.runpod.fallback),
    )


def _dollars(text: str | None) -> str | None:
    """Return what a run may cost, as a decimal."""
    if text is None:
        return None
    try:
        amount = Decimal(text.lstrip("$"))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise UsageError(f"--max-cost is an amount in dollars, not {text!r}.")
    return str(amount)


def _fallback(text: str) -> Fallback:
    for known in ("local", "wait", "fail"):
        if text == known:
            return known
    raise UsageError(f"--fallback is local, wait or fail, not {text!r}.")
