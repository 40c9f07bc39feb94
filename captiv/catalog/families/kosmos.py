"""Kosmos-2, which can say where things are, and Kosmos-2.5, which reads documents."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

_TWO = Architecture("kosmos-2", "kosmos2", "left")
_TWO_AND_A_HALF = Architecture("kosmos-2.5", "kosmos25", "left")
"""Both count positions past the padding: no prompts may be mixed."""

# Greedy is its authors'; the 128 tokens of their example end many a detailed caption.
KOSMOS = Family(
    name="kosmos",
    title="Kosmos (Microsoft)",
    architecture=_TWO,
    variants=(
        Variant(
            "kosmos-2",
            "microsoft/kosmos-2-patch14-224",
            download_bytes=6_660_000_000,
            vram_gb={"float32": 7.8, "float16": 4.2, "bfloat16": 4.2},
        ),
        Variant(
            "kosmos-2.5",
            "microsoft/kosmos-2.5",
            download_bytes=5_500_000_000,
            vram_gb={"float32": 8.5, "float16": 4.8, "bfloat16": 4.8},
            note="Reads the text of documents (OCR). It is no captioner: of a photo without text "
            "it says little or nothing that is true.",
            architecture=_TWO_AND_A_HALF,
            image=ImagePolicy(1024, "area"),
            generation=Generation(
                max_new_tokens=1024,
                min_new_tokens=0,
                num_beams=1,
                temperature=0.0,
                repetition_penalty=1.0,
            ),
            takes_prompt=False,
        ),
    ),
    default_variant="kosmos-2",
    modes=(
        Mode("default", "An image of", "A short caption", variants=("kosmos-2",)),
        Mode(
            "detailed", "Describe this image in detail:", "A long caption", variants=("kosmos-2",)
        ),
        Mode(
            "grounding",
            "<grounding>An image of",
            "A short caption with a box behind each thing that it names: left, top, right, bottom",
            variants=("kosmos-2",),
        ),
        Mode(
            "grounding_detailed",
            "<grounding>Describe this image in detail:",
            "A long caption with such boxes",
            variants=("kosmos-2",),
        ),
        Mode("default", "<md>", "The document as Markdown", variants=("kosmos-2.5",)),
        Mode("md", "<md>", "The same by its own name", variants=("kosmos-2.5",)),
        Mode("ocr", "<ocr>", "The lines of text, without their places", variants=("kosmos-2.5",)),
    ),
    image=ImagePolicy(224),
    generation=Generation(
        max_new_tokens=256, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="MIT",
    note="Kosmos-2 captions, and says where things are if a prompt begins with <grounding>; "
    "Kosmos-2.5 reads the text of documents (OCR) and is no captioner.",
)
