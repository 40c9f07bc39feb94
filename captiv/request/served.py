"""Which model of somebody's chat server captions: `--protocol openai`."""

from captiv.catalog import ModelChoice, Variant, choose, foreign
from captiv.catalog.foreign import sourced
from captiv.core.spec import Captioning
from captiv.errors import UsageError
from captiv.settings import Settings
from captiv.wire import in_chat


def served_choice(
    model: str | None, variant: str | None, url: str, settings: Settings
) -> ModelChoice:
    """Return the model to ask for.

    A name of the catalog brings its modes, options and defaults; any other is the server's own
    name, asked with a plain prompt. Without a name the server is asked what it serves.

    Raises:
        UsageError: several models are served; or a family that no such server can serve.
        WorkerError: the server was asked and does not answer.
    """
    name = model or _default_model(settings) or _only_model(url, settings)
    family = _family(name, variant, settings) or sourced(name)
    if family is None:
        if variant is not None:
            raise UsageError(f"--variant goes with a model of the catalog; {name!r} is none.")
        return foreign(name)
    if not family.family.architecture.chats:
        raise UsageError(
            f"{family.family.name} is no chat model: no server of this protocol serves it.",
            hint="Leave --protocol openai out to caption with it on this machine, or --model to "
            "ask the server for what it serves.",
        )
    return family


def refuse_untold(captioning: Captioning) -> None:
    """Refuse what the protocol has no word for.

    Raises:
        UsageError: a setting is asked for that no such server can be told, such as beams.
    """
    for name, value in captioning.generation.model_dump(exclude_none=True).items():
        told = in_chat(name)
        if told.names or value == told.idle:
            continue
        flag = f"--{name.replace('_', '-')}"
        without = f"Leave {flag} out" if told.idle is None else f"Add {flag} {told.idle:g}"
        raise UsageError(
            f"OpenAI's protocol has no word for {flag} {value:g}.",
            hint=f"{without} (generation.{name}).",
        )


def _default_model(settings: Settings) -> str | None:
    """Return the model of the settings, if a person has set one, and one that chats."""
    name = settings.model.default_model
    if "default_model" not in settings.model.model_fields_set:
        return None
    known = choose(name)
    return None if known is not None and not known.family.architecture.chats else name


def _family(name: str, variant: str | None, settings: Settings) -> ModelChoice | None:
    """Return what the catalog has; a variant that it has not is the server's name for it."""
    known = choose(name)
    if known is None:
        return None
    variant = variant or settings.model.variant_for(known.family.name)
    if variant is None or name == known.variant.name:
        return known
    if known.family.variant(variant) is not None:
        return choose(known.family.name, variant)
    return ModelChoice(known.family, Variant(variant, variant))


def _only_model(url: str, settings: Settings) -> str:
    from functools import partial

    import anyio

    from captiv.workers.openai import served_models

    token = settings.worker.token_for(url)
    served = anyio.run(
        partial(served_models, url, token.get_secret_value() if token is not None else None)
    )
    if len(served) != 1:
        names = ", ".join(served) or "no model"
        raise UsageError(
            f"{url} does not serve one model alone.", hint=f"Name one with --model. It has: {names}"
        )
    return served[0]
