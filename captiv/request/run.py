"""From the options of a command line, and the settings behind them, to a run's specification."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from captiv.catalog import (
    Family,
    ModelChoice,
    build_prompt,
    choose,
    choose_length,
    choose_source,
    contradictions,
    family_named,
    idle_variables,
)
from captiv.catalog.engines import against_vllm
from captiv.catalog.foreign import variant_from
from captiv.core.adding import Where
from captiv.core.naming import checked_extension, checked_naming, is_image_name
from captiv.core.spec import (
    Answers,
    Captioning,
    Output,
    Placement,
    RunSpec,
    Selection,
)
from captiv.core.structure import Schema, asked_for
from captiv.core.unread import unread_kind
from captiv.errors import UsageError
from captiv.output.mirror import mirroring
from captiv.request.loaded import is_left_open, loaded_by_all
from captiv.request.options import Options
from captiv.request.placement import place
from captiv.request.schema import for_objects, schema_asked
from captiv.request.served import refuse_untold, served_choice
from captiv.request.tags import refuse_idle, tagging_of
from captiv.settings import DTYPES, Settings
from captiv.settings.keys import find_key
from captiv.wire import Generation, ModelChange

_NEVER_EMPTY = (
    *("model", "variant", "mode", "dtype", "device", "engine", "worker", "protocol"),
    *("gpu_type", "fallback", "extension", "sidecar_name", "schema"),
)
_SPELLED = {"dtype": "torch-dtype"}


def _check_engine(placement: Placement, choice: ModelChoice, captioning: Captioning) -> None:
    """Refuse vLLM for what it cannot do, before anything is begun.

    Raises:
        UsageError: says what that is.
    """
    if placement.engine != "vllm":
        return
    family = choice.family.of(choice.variant)
    reason = against_vllm(family, captioning.dtype, captioning.generation)
    if reason is not None:
        raise UsageError(reason, hint="Use --engine transformers, or auto.")


def request(options: Options, settings: Settings) -> tuple[RunSpec, ModelChoice]:
    """Return what is asked for.

    Raises:
        UsageError: a path, model, mode, option or value that cannot be.
        WorkerError: a worker elsewhere was asked for its model, and has none or does not answer.
    """
    _require_text(prompt=options.prompt, prefix=options.prefix, suffix=options.suffix)
    _require_something(options)
    placement = place(options, settings)
    choice = _choice(options, settings, placement)
    refuse_idle(options, choice.family)
    roots = _roots(options.paths)
    output = _output(options, settings, roots)
    schema = schema_asked(options, choice.family, output)
    captioning = _captioning(options, settings, choice, schema)
    _check_engine(placement, choice, captioning)
    if any(site.kind == "local" for site in placement.sites):
        from captiv.workers.hub import require_weights

        require_weights(choice.variant.source)
    if any(site.protocol == "openai" for site in placement.sites):
        refuse_untold(captioning)
    spec = RunSpec(
        selection=Selection(
            roots=roots,
            recursive=options.recursive,
            overwrite=options.overwrite,
            add=_add(options),
            limit=options.limit,
            retry_failed=options.retry_failed,
            accept_truncated=options.accept_truncated,
        ),
        captioning=captioning,
        output=output,
        placement=placement,
        answers=_answers(options, settings, choice.family),
        image_quality=settings.images.quality,
    )
    return spec, choice


def contradicted(options: Options, spec: RunSpec, choice: ModelChoice) -> list[str]:
    """Return a sentence for whatever of the prompt contradicts another part, or has no effect."""
    own = options.prompt is not None
    mode = "" if own else spec.captioning.mode
    said = contradictions(choice.family, mode, options.prompt_options)
    if own and options.mode is not None:
        said.append(f"The prompt takes the place of the mode {options.mode}.")
    return said + idle_variables(
        choice.family,
        options.prompt_variables,
        mode=mode,
        prompt=options.prompt,
        options=options.prompt_options,
    )


def _choice(options: Options, settings: Settings, placement: Placement) -> ModelChoice:
    model, variant = options.model, options.variant
    asked = [site for site in placement.sites if site.url is not None]
    if asked and asked[0].protocol == "openai":
        choice = served_choice(model, variant, asked[0].url or "", settings)
        if len(asked) < placement.workers:
            _require_known(choice)
        return choice
    if asked and is_left_open(model, variant, settings):
        return loaded_by_all([site.url or "" for site in asked])
    return model_choice(model, variant, settings)


def _require_known(choice: ModelChoice) -> None:
    """Refuse a model that only its server knows, where captiv's own workers are to load it, too."""
    known = family_named(choice.family.name)
    if known is None or known.variant(choice.variant.name) is None:
        raise UsageError(
            f"{choice.variant.name} is known to the chat server only; captiv's own workers can't "
            "load it.",
            hint="Name one of `captiv model list` with --model and --variant, or use only "
            "--worker.",
        )


def model_choice(model: str | None, variant: str | None, settings: Settings) -> ModelChoice:
    """Return the checkpoint that these names, or the settings, stand for.

    A hub id of the catalog stands for the variant that has it, unless a folder is called so.
    """
    name = model or settings.model.default_model
    folder = Path(name).expanduser()
    if not folder.is_dir():
        name = variant_from(name) or name
    known = choose(name)
    if known is not None:
        configured = (
            settings.model.variant_for(known.family.name) if known.family.name == name else None
        )
        return choose(name, variant or configured) or known
    if variant is not None:
        raise UsageError(f"--variant goes with a model of the catalog; {name!r} is none.")
    from captiv.workers.hub import read_config, read_decoding

    source = str(folder.resolve()) if folder.is_dir() else name
    return choose_source(source, read_config(source), read_decoding(source))


def model_to_load(model: str | None, settings: Settings) -> ModelChange:
    """Return what a worker that is started for this model, or the settings', has to load."""
    choice = model_choice(model, None, settings)
    return ModelChange(
        model=choice.family.name,
        variant=choice.variant.name,
        source=choice.variant.source,
        dtype=choice.family.precision(settings.system.default_torch_dtype),
        max_batch=settings.worker.batch_size,
    )


def _require_text(**given: str | None) -> None:
    """Refuse bytes that are no text: they could be neither sent nor written."""
    for name, value in given.items():
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"--{name} is not text in UTF-8.") from error


def _require_something(options: Options) -> None:
    """Refuse an empty text where the settings would silently stand in for it."""
    for name in _NEVER_EMPTY:
        given = getattr(options, name)
        if given == "" or (name == "worker" and "" in given):
            raise UsageError(f"--{_SPELLED.get(name, name).replace('_', '-')} is empty.")


def _checked(section: str, name: str, value: Any, *, flag: str) -> Any:
    """Return a value of the command line as the setting of that name takes it."""
    key = find_key(section, name)
    assert key is not None, name
    try:
        return key.parse(value)
    except ValueError as error:
        raise UsageError(f"--{flag} {error}.") from error


def _add(options: Options) -> Where | None:
    """Return on which side of what is there the new caption is added; None if on neither."""
    if options.add is None:
        return None
    if options.add not in ("before", "after"):
        raise UsageError(f"--add is before or after, not {options.add!r}.")
    if options.overwrite != "no":
        raise UsageError(
            "--add keeps the captions that are there, and --overwrite replaces them.",
            hint="Give one of the two.",
        )
    if not options.save:
        raise UsageError("--add writes sidecars, and --no-save writes none.")
    return "before" if options.add == "before" else "after"


def _roots(paths: Sequence[Path]) -> tuple[str, ...]:
    roots: list[str] = []
    for path in paths or (Path(),):
        absolute = os.path.abspath(path.expanduser())  # noqa: PTH100 - links stay as they were named
        if not os.path.exists(absolute):
            raise UsageError(f"There is no {absolute}.", hint="Name image files or folders.")
        if os.path.isfile(absolute) and not is_image_name(absolute):
            kind = unread_kind(absolute)
            what = f"is a {kind}" if kind else "is not an image that captiv knows"
            raise UsageError(
                f"{absolute} {what}; captiv reads JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC.",
                hint="Save the picture as JPEG or PNG." if kind else "Name an image or a folder.",
            )
        roots.append(absolute)
    return tuple(dict.fromkeys(roots))


def _captioning(
    options: Options, settings: Settings, choice: ModelChoice, schema: Schema | None
) -> Captioning:
    family = choice.family
    mode = options.mode or settings.model.mode_for(family.name) or family.default_mode
    if options.prompt is not None and options.mode is not None:
        build_prompt(family, mode=mode)  # a mode that there is not is a mistake here, too
    length = choose_length(family, _length(options, settings, family, mode))
    said = _generation(options, settings, family)
    generation = (
        said.over(family.generation) if schema is None else for_objects(said, family.generation)
    )
    if (generation.min_new_tokens or 0) > (generation.max_new_tokens or 4096):
        raise UsageError(
            f"--min-new-tokens ({generation.min_new_tokens}) is more than --max-new-tokens "
            f"({generation.max_new_tokens})."
        )
    prompt = build_prompt(
        family,
        mode=mode,
        length=length,
        prompt=options.prompt,
        options=options.prompt_options,
        variables=options.prompt_variables,
    )
    return Captioning(
        model=family.name,
        variant=choice.variant.name,
        source=choice.variant.source,
        mode=mode,
        length=length,
        prompt=prompt if schema is None else asked_for(prompt, schema),
        answer_schema=None if schema is None else schema.text,
        generation=generation,
        tagging=tagging_of(options, settings, family),
        dtype=_dtype(options, settings, family),
    )


def _dtype(options: Options, settings: Settings, family: Family) -> str:
    """Return the precision asked for; a default only where the family runs in it."""
    dtype = options.dtype or settings.system.default_torch_dtype
    if dtype not in DTYPES:
        raise UsageError(f"--torch-dtype is one of {', '.join(DTYPES)}, not {dtype!r}.")
    if options.dtype is None or family.precision(dtype) == dtype:
        return family.precision(dtype)
    if family.tagging is not None:
        raise UsageError(f"{family.name} runs in what its file holds: leave --torch-dtype out.")
    have = ", ".join(name for name in DTYPES if family.precision(name) == name)
    raise UsageError(f"{family.name} does not run in {dtype}.", hint=f"It has: {have}.")


def _length(options: Options, settings: Settings, family: Family, mode: str) -> str | None:
    """Return the length asked for; the one of the settings only where there is room for it."""
    if options.length is not None:
        return options.length
    asked = family.mode(mode)
    room = asked is not None and asked.has_lengths and options.prompt is None
    return settings.model.length_for(family.name) if room else None


def _generation(options: Options, settings: Settings, family: Family) -> Generation:
    if family.tagging is not None:
        return Generation()
    given = {
        name: _checked("generation", name, value, flag=name.replace("_", "-"))
        for name, value in options.generation.items()
        if value is not None
    }
    configured = settings.generation.model_dump(exclude_none=True, exclude={"retries"})
    return Generation.model_validate({**configured, **given})


def _answers(options: Options, settings: Settings, family: Family) -> Answers:
    if family.tagging is not None:
        return Answers(retries=0)  # it says the same again
    retries = settings.generation.retries if options.retries is None else options.retries
    limits = (options.generation.get("max_new_tokens"), settings.generation.max_new_tokens)
    return Answers(retries=retries, limited_by_user=any(limit is not None for limit in limits))


def _output(options: Options, settings: Settings, roots: Sequence[str]) -> Output:
    defaults = settings.output
    output = Output(
        save=options.save,
        extension=checked_extension(
            defaults.extension if options.extension is None else options.extension
        ),
        naming=checked_naming(options.sidecar_name or defaults.sidecar_name),
        prefix=defaults.prefix if options.prefix is None else options.prefix,
        suffix=defaults.suffix if options.suffix is None else options.suffix,
        one_line=defaults.one_line if options.one_line is None else options.one_line,
    )
    if options.output_dir is None:
        return output
    if not options.save:
        raise UsageError("--output-dir says where sidecars go, and --no-save writes none.")
    return mirroring(output, options.output_dir, roots)
