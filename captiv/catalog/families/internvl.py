"""InternVL 3.5, in transformers' own layout."""

from captiv.catalog.model import DECLARED, Architecture, Family, ImagePolicy, Variant
from captiv.catalog.questions import DETAILED, PLAIN, SHORT, TAGS
from captiv.wire import Generation

INTERNVL = Family(
    name="internvl",
    title="InternVL 3.5 (OpenGVLab)",
    architecture=Architecture("internvl", DECLARED),
    variants=(
        Variant(
            "internvl3.5-4b",
            "OpenGVLab/InternVL3_5-4B-HF",
            download_bytes=9_480_000_000,
            vram_gb={"float32": 21.0, "bfloat16": 11.5, "float16": 11.5},
        ),
        Variant(
            "internvl3.5-8b",
            "OpenGVLab/InternVL3_5-8B-HF",
            download_bytes=17_100_000_000,
            vram_gb={"float32": 36.5, "bfloat16": 19.0, "float16": 19.0},
        ),
    ),
    default_variant="internvl3.5-4b",
    modes=(
        PLAIN,
        SHORT,
        DETAILED,
        TAGS,
    ),
    image=ImagePolicy(1536, "long"),
    generation=Generation(
        max_new_tokens=1024, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="Apache-2.0",
    note="The releases without -HF in their names run code of their own and are not loaded; these "
    "are the same weights. Sees an image in up to 13 tiles. Memory figures are "
    "calculated, not measured.",
)
