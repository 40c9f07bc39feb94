"""From what a person names to one checkpoint of one family."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from captiv.catalog.declared import CHAT_MODEL, declared_family, refusal
from captiv.catalog.decoding import own_decoding
from captiv.catalog.families import FAMILIES, default_family, family_named
from captiv.catalog.model import Family, Variant
from captiv.errors import UsageError


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One checkpoint, and its family as this checkpoint is."""

    family: Family
    variant: Variant


def choose(model: str | None, variant: str | None = None) -> ModelChoice | None:
    """Return what the catalog has under these names, or None if `model` is not in it.

    `model` is a family's name, or a variant's (`blip-base`). None is the default family.

    Raises:
        UsageError: the family has no such variant, or the two contradict each other.
    """
    family = default_family() if model is None else family_named(model)
    if family is None:
        family, variant = _by_variant(model or "", variant)
        if family is None:
            return None
    if not family.variants:
        raise UsageError(
            f"{family.name} stands for chat models that the catalog doesn't name.",
            hint="Name one by its hub id or directory: --model OWNER/NAME.",
        )
    name = variant or family.default_variant
    found = family.variant(name)
    if found is None:
        have = ", ".join(v.name for v in family.variants)
        raise UsageError(f"{family.name} has no variant {name!r}.", hint=f"It has: {have}.")
    return ModelChoice(family.of(found), found)


def _by_variant(name: str, variant: str | None) -> tuple[Family | None, str | None]:
    for family in FAMILIES:
        if family.variant(name) is not None:
            if variant not in (None, name):
                raise UsageError(f"--model {name} and --variant {variant} contradict each other.")
            return family, name
    return None, variant


def choose_source(
    source: str, config: Mapping[str, Any], decoding: Mapping[str, Any] | None = None
) -> ModelChoice:
    """Return the family of a local directory or hub id by its config.json.

    Args:
        source: the directory or hub id.
        config: its config.json.
        decoding: its generation_config.json, if it has one.

    Raises:
        UsageError: no engine of captiv's can drive it; says what can.
    """
    for family in FAMILIES:
        found = choose_like(family, source, config, decoding) if family.recognised else None
        if found is not None and found.family.architecture.is_told(source, config):
            return found
    declared = choose_like(CHAT_MODEL, source, config, decoding)
    if declared is None:
        raise refusal(source, config)
    return declared


def choose_like(
    family: Family,
    source: str,
    config: Mapping[str, Any],
    decoding: Mapping[str, Any] | None = None,
) -> ModelChoice | None:
    """Return a checkpoint as one of this family by its config.json; None if it has none like it."""
    if family.name == CHAT_MODEL.name:
        found = declared_family(config)
    else:
        like = family.like(config)
        found = None if like is None else family.of(like)
    if found is None:
        return None
    found = replace(
        found,
        generation=own_decoding(decoding or {}).over(found.generation),
        takes_prompt=found.takes_prompt or family.tunes_take_prompt,
    )
    own = Variant(
        source,
        source,
        architecture=found.architecture,
        generation=found.generation,
        takes_prompt=found.takes_prompt,
    )
    return ModelChoice(found, own)
