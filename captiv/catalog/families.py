"""The families that captiv knows: a new one is an entry here and, at most, a page in the worker."""

from captiv.catalog.model import BUILTIN, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

_BLIP = Family(
    name="blip",
    title="BLIP (Salesforce)",
    engine="prefix",
    model_types=("blip",),
    variants=(
        Variant(
            "blip-base",
            "Salesforce/blip-image-captioning-base",
            download_bytes=990_000_000,
            vram_gb={"float32": 1.6, "float16": 1.0, "bfloat16": 1.0},
        ),
        Variant(
            "blip-large",
            "Salesforce/blip-image-captioning-large",
            download_bytes=1_880_000_000,
            vram_gb={"float32": 2.6, "float16": 1.6, "bfloat16": 1.6},
        ),
    ),
    default_variant="blip-large",
    modes=(
        Mode("default", None, "A caption without a beginning of its own"),
        Mode("photo", "a photography of", "The conditional beginning that its authors show"),
    ),
    image=ImagePolicy(384),
    generation=Generation(
        max_new_tokens=64, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="BSD-3-Clause",
    note="Short captions. A prompt is the beginning that the caption continues.",
)

_SHAPES = Family(
    name="shapes",
    title="Shapes (built in; for trying captiv and for tests)",
    engine="prefix",
    model_types=(),
    variants=(Variant("shapes", BUILTIN + "shapes", download_bytes=0, vram_gb={"float32": 0.1}),),
    default_variant="shapes",
    modes=(Mode("default", None, "What is drawn"),),
    image=ImagePolicy(128),
    generation=Generation(
        max_new_tokens=24, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
    ),
    licence="MIT",
    note="Reads drawn scenes of coloured shapes and nothing else: for trying captiv and for tests. "
    "On a photograph it answers confident nonsense.",
)

FAMILIES: tuple[Family, ...] = (_BLIP, _SHAPES)
"""Every family, the default first."""


def default_family() -> Family:
    """Return the family that captions when none is named."""
    return FAMILIES[0]


def family_named(name: str) -> Family | None:
    """Return the family of that name, or None."""
    return next((f for f in FAMILIES if f.name == name), None)
