"""Gemma 3: Google's models that see, in two sizes."""

from captiv.catalog.model import DECLARED, Architecture, Family, ImagePolicy, Variant
from captiv.catalog.questions import DETAILED, PLAIN, SHORT, TAGS
from captiv.wire import Generation

GEMMA3 = Family(
    name="gemma3",
    title="Gemma 3 (Google)",
    architecture=Architecture("gemma3", DECLARED, overflows=True),
    variants=(
        Variant(
            "gemma-3-4b",
            "google/gemma-3-4b-it",
            download_bytes=8_630_000_000,
            vram_gb={"float32": 19.0, "bfloat16": 10.0},
        ),
        Variant(
            "gemma-3-12b",
            "google/gemma-3-12b-it",
            download_bytes=24_410_000_000,
            vram_gb={"float32": 51.0, "bfloat16": 26.5},
        ),
    ),
    default_variant="gemma-3-4b",
    modes=(
        PLAIN,
        SHORT,
        DETAILED,
        TAGS,
    ),
    image=ImagePolicy(896, "square"),
    generation=Generation(
        max_new_tokens=512,
        min_new_tokens=0,
        num_beams=1,
        temperature=1.0,
        top_p=0.95,
        top_k=64,
        repetition_penalty=1.0,
    ),
    takes_prompt=True,
    licence="Gemma Terms of Use",
    note="Accept its terms on the hub, then set HF_TOKEN. Sees an image squashed to 896x896, with "
    "256 tokens. Memory figures are calculated, not measured.",
)
