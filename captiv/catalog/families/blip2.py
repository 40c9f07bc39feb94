"""BLIP-2: a frozen vision tower, a few queries, and a language model: OPT or T5."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

_LEFT_ALONE = ("vision_model", "qformer", "language_projection", "language_model.lm_head")
_OPT = Architecture(
    "blip-2", "blip2", "left", mixes_prompts=True, text_types=("opt",), left_alone=_LEFT_ALONE
)
_T5 = Architecture(
    "blip-2", "blip2", "right", mixes_prompts=True, text_types=("t5",), left_alone=_LEFT_ALONE
)
"""T5 counts positions relative to each other: padding on the left would lie between the places of
the image and the text."""

_OPT_NOTE = "Its language model, OPT, is licensed for research only."

BLIP2 = Family(
    name="blip2",
    title="BLIP-2 (Salesforce)",
    architecture=_OPT,
    variants=(
        Variant(
            "blip2-opt-2.7b",
            "Salesforce/blip2-opt-2.7b",
            download_bytes=14_980_000_000,
            vram_gb={"float32": 16.0, "float16": 8.3, "bfloat16": 8.3, "8bit": 5.8, "4bit": 4.6},
            note=_OPT_NOTE,
        ),
        Variant(
            "blip2-opt-6.7b",
            "Salesforce/blip2-opt-6.7b",
            download_bytes=31_000_000_000,
            vram_gb={"float32": 32.5, "float16": 16.6, "bfloat16": 16.6, "8bit": 10.2, "4bit": 7.3},
            note=_OPT_NOTE,
        ),
        Variant(
            "blip2-flan-t5-xl",
            "Salesforce/blip2-flan-t5-xl",
            download_bytes=15_770_000_000,
            vram_gb={"float32": 17.0, "bfloat16": 8.9, "float16": 8.9, "8bit": 7.7, "4bit": 6.7},
            architecture=_T5,
            note="T5 was trained in bfloat16; in float16 its sums may overflow.",
        ),
    ),
    default_variant="blip2-opt-2.7b",
    modes=(
        Mode("default", None, "A caption without a text to go by"),
        Mode("photo", "a photo of", "The beginning that its authors caption with"),
    ),
    image=ImagePolicy(224, "square"),
    generation=Generation(
        max_new_tokens=30, min_new_tokens=1, num_beams=5, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="MIT",
    note="Short captions. A question is asked as its authors do: "
    '"Question: what is the man doing? Answer:".',
)
