"""BLIP: short captions, and the continuation of a beginning."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

BLIP_ARCHITECTURE = Architecture("blip", "blip")
"""Its positions ignore padding and its last prompt column is dropped: no prompts may be mixed."""

# Three beams are its authors' (configs/nocaps.yaml); their limit of 20 tokens is not kept, for it
# ends longer sentences, and what a limit ends is no caption.
BLIP = Family(
    name="blip",
    title="BLIP (Salesforce)",
    architecture=BLIP_ARCHITECTURE,
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
    image=ImagePolicy(384, "square"),
    generation=Generation(
        max_new_tokens=64, min_new_tokens=0, num_beams=3, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="BSD-3-Clause",
    note="Short captions. A prompt is the beginning that the caption continues.",
)
