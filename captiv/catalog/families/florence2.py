"""Florence-2: small, and asked with the name of a task."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

FLORENCE2 = Family(
    name="florence2",
    title="Florence-2 (Microsoft, as converted by florence-community)",
    architecture=Architecture("florence2", "florence2", "right", mixes_prompts=True, native=False),
    variants=(
        Variant(
            "florence2-base",
            "florence-community/Florence-2-base",
            download_bytes=464_000_000,
            vram_gb={"float32": 1.9, "float16": 1.2, "bfloat16": 1.2},
        ),
        Variant(
            "florence2-large",
            "florence-community/Florence-2-large",
            download_bytes=1_540_000_000,
            vram_gb={"float32": 4.3, "float16": 2.5, "bfloat16": 2.5},
        ),
    ),
    default_variant="florence2-large",
    modes=(
        Mode("default", "<DETAILED_CAPTION>", "The same as detailed"),
        Mode("caption", "<CAPTION>", "One short sentence"),
        Mode("detailed", "<DETAILED_CAPTION>", "A few sentences"),
        Mode("more_detailed", "<MORE_DETAILED_CAPTION>", "A paragraph"),
        Mode("ocr", "<OCR>", "The text in the picture"),
    ),
    image=ImagePolicy(768, "square"),
    generation=Generation(
        max_new_tokens=1024,
        min_new_tokens=0,
        num_beams=3,
        temperature=0.0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=3,
        early_stopping=1,
    ),
    tunes_take_prompt=True,
    licence="MIT",
    note="It knows tasks, and takes no text of one's own; a fine-tune is asked with a task of its "
    "own by --prompt. The first releases under microsoft/ run "
    "code that they bring along and are not loaded; these are the same weights.",
)
