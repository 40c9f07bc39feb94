"""The families that captiv knows, one module each.

A new one is a module here, a line below and, at most, a page in the worker (docs/models.md).
"""

from captiv.catalog.families.blip import BLIP
from captiv.catalog.families.blip2 import BLIP2
from captiv.catalog.families.florence2 import FLORENCE2
from captiv.catalog.families.git import GIT
from captiv.catalog.families.joycaption import JOYCAPTION
from captiv.catalog.families.kosmos import KOSMOS
from captiv.catalog.families.qwen_vl import QWEN_VL
from captiv.catalog.families.shapes import SHAPES
from captiv.catalog.families.smolvlm import SMOLVLM
from captiv.catalog.families.taggers import CAMIE_TAGGER, PIXAI_TAGGER, WD_TAGGER
from captiv.catalog.families.vit_gpt2 import VIT_GPT2
from captiv.catalog.model import Family

FAMILIES: tuple[Family, ...] = (
    BLIP,
    BLIP2,
    FLORENCE2,
    GIT,
    JOYCAPTION,
    KOSMOS,
    QWEN_VL,
    SMOLVLM,
    VIT_GPT2,
    WD_TAGGER,
    PIXAI_TAGGER,
    CAMIE_TAGGER,
    SHAPES,
)
"""Every family, the default first."""


def default_family() -> Family:
    """Return the family that captions when none is named."""
    return FAMILIES[0]


def family_named(name: str) -> Family | None:
    """Return the family of that name, or None."""
    return next((f for f in FAMILIES if f.name == name), None)
