"""A run's tags, with options that only taggers take, and options that taggers refuse."""

from captiv.catalog import FAMILIES, Family
from captiv.catalog.tagging import EVERY, tag_names, taggers, thresholds_in, with_thresholds
from captiv.errors import UsageError
from captiv.request.options import Options
from captiv.settings import Settings
from captiv.wire import Tagging


def refuse_idle(options: Options, family: Family) -> None:
    """Refuse what the model cannot obey, rather than pass it over.

    Raises:
        UsageError: names the option.
    """
    given = _of_tags(options)
    if family.tagging is None and given:
        raise UsageError(
            f"--{given[0]} is for taggers, and {family.name} is none.",
            hint=f"The taggers: {taggers(FAMILIES)}.",
        )
    idle = _of_decoding(options)
    if family.tagging is not None and idle:
        raise UsageError(
            f"{family.name} scores tags and writes no sentence: --{idle[0]} means nothing to it.",
            hint="--tag-threshold says how many tags are written.",
        )


def tagging_of(options: Options, settings: Settings, family: Family) -> Tagging | None:
    """Return which tags are written, and how; None of a model that is no tagger.

    Raises:
        UsageError: it has no such category.
    """
    own, configured = family.tagging, settings.tags
    if own is None:
        return None
    wanted = thresholds_in(configured.threshold or "")
    known = {name: wanted[name] for name in wanted if name in (*own.thresholds, EVERY)}
    exclude = options.tag_exclude
    return Tagging(
        thresholds=with_thresholds(
            family, with_thresholds(family, own.thresholds, known), options.tag_threshold
        ),
        exclude=tuple(tag_names(configured.exclude) if exclude is None else exclude),
        underscores=_said(options.tag_underscores, configured.underscores),
        escape=_said(options.tag_escape, configured.escape),
    )


def _said(given: bool | None, configured: bool) -> bool:
    return configured if given is None else given


def _of_tags(options: Options) -> list[str]:
    given = {
        "tag-threshold": options.tag_threshold or None,
        "tag-exclude": options.tag_exclude,
        "tag-underscores": options.tag_underscores,
        "tag-escape": options.tag_escape,
    }
    return [name for name, value in given.items() if value is not None]


def _of_decoding(options: Options) -> list[str]:
    given = [name for name, value in options.generation.items() if value is not None]
    return [
        *(name.replace("_", "-") for name in given),
        *(["retries"] if options.retries is not None else []),
    ]
