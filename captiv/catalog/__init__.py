"""What can caption: families, variants, modes, options. No torch, no I/O but its own table."""

from captiv.catalog.describe import describe, describe_modes
from captiv.catalog.families import FAMILIES, default_family, family_named
from captiv.catalog.foreign import foreign
from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Option, Variant
from captiv.catalog.prompts import (
    build_prompt,
    choose_length,
    contradictions,
    idle_variables,
    lengths_in_words,
)
from captiv.catalog.resolve import ModelChoice, choose, choose_like, choose_source

__all__ = [
    "FAMILIES",
    "Architecture",
    "Family",
    "ImagePolicy",
    "Mode",
    "ModelChoice",
    "Option",
    "Variant",
    "build_prompt",
    "choose",
    "choose_length",
    "choose_like",
    "choose_source",
    "contradictions",
    "default_family",
    "describe",
    "describe_modes",
    "family_named",
    "foreign",
    "idle_variables",
    "lengths_in_words",
]
