"""The built-in model: for trying captiv without a download, and for tests."""

from captiv.catalog.families.blip import BLIP_ARCHITECTURE
from captiv.catalog.model import BUILTIN, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

SHAPES = Family(
    name="shapes",
    title="Shapes (built in; for trying captiv and for tests)",
    architecture=BLIP_ARCHITECTURE,
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
    recognised=False,
    scenes_only=True,
)
