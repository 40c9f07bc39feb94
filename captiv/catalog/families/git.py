"""GIT: one transformer over picture and text, fine-tuned on COCO's captions."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

# Four beams are its authors' (generativeimage2text/model.py).
GIT = Family(
    name="git",
    title="GIT (Microsoft)",
    architecture=Architecture("git", "git", "left", mixes_prompts=True),
    variants=(
        Variant(
            "git-base",
            "microsoft/git-base-coco",
            download_bytes=707_000_000,
            vram_gb={"float32": 1.3, "float16": 0.8, "bfloat16": 0.8},
        ),
        Variant(
            "git-large",
            "microsoft/git-large-coco",
            download_bytes=1_580_000_000,
            vram_gb={"float32": 2.3, "float16": 1.4, "bfloat16": 1.4},
        ),
    ),
    default_variant="git-large",
    modes=(Mode("default", None, "A caption without a beginning of its own"),),
    image=ImagePolicy(224),
    generation=Generation(
        max_new_tokens=50, min_new_tokens=0, num_beams=4, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="MIT",
    note="Short captions. A prompt is the beginning that the caption continues.",
)
