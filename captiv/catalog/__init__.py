"""What can caption: families, their variants, modes and prompt options. No torch, no I/O."""

from captiv.catalog.families import FAMILIES, default_family, family_named
from captiv.catalog.model import Family, ImagePolicy, Mode, Option, Variant
from captiv.catalog.prompts import build_prompt
from captiv.catalog.resolve import ModelChoice, choose, choose_source, describe

__all__ = [
    "FAMILIES",
    "Family",
    "ImagePolicy",
    "Mode",
    "ModelChoice",
    "Option",
    "Variant",
    "build_prompt",
    "choose",
    "choose_source",
    "default_family",
    "describe",
    "family_named",
]
