"""ViT-GPT2: a vision transformer and GPT-2, tied together; small, old and quick."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.wire import Generation

# Four beams are its authors'; their limit of 16 tokens is not kept, for it ends longer sentences,
# and what a limit ends is no caption.
VIT_GPT2 = Family(
    name="vit-gpt2",
    title="ViT-GPT2 (nlpconnect)",
    architecture=Architecture("vision-encoder-decoder", "vit-gpt2", "right"),
    variants=(
        Variant(
            "vit-gpt2",
            "nlpconnect/vit-gpt2-image-captioning",
            download_bytes=982_000_000,
            vram_gb={"float32": 1.5, "float16": 0.9, "bfloat16": 0.9},
        ),
    ),
    default_variant="vit-gpt2",
    modes=(Mode("default", None, "A caption"),),
    image=ImagePolicy(224, "square"),
    generation=Generation(
        max_new_tokens=32, min_new_tokens=0, num_beams=4, temperature=0.0, repetition_penalty=1.0
    ),
    licence="Apache-2.0",
    note="Short captions; it takes no text.",
)
