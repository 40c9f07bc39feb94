"""SmolVLM: models that see and are small enough for a CPU."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.catalog.questions import DETAILED, SHORT, TAGS
from captiv.wire import Generation

_LEFT_ALONE = ("model.vision_model", "model.connector", "lm_head")
_SMOLVLM2 = Architecture("smolvlm", "chat", left_alone=_LEFT_ALONE)
_SMOLVLM1 = Architecture("idefics3", "chat", left_alone=_LEFT_ALONE)

SMOLVLM = Family(
    name="smolvlm",
    title="SmolVLM2 and SmolVLM (Hugging Face)",
    architecture=_SMOLVLM2,
    variants=(
        Variant(
            "smolvlm2-256m",
            "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
            download_bytes=1_030_000_000,
            vram_gb={"float32": 2.0, "bfloat16": 1.4, "float16": 1.4, "8bit": 1.3, "4bit": 1.3},
        ),
        Variant(
            "smolvlm2-500m",
            "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
            download_bytes=2_030_000_000,
            vram_gb={"float32": 3.0, "bfloat16": 1.8, "float16": 1.8, "8bit": 1.5, "4bit": 1.4},
        ),
        Variant(
            "smolvlm2-2.2b",
            "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
            download_bytes=8_990_000_000,
            vram_gb={"float32": 10.0, "bfloat16": 5.2, "float16": 5.2, "8bit": 3.6, "4bit": 2.8},
            image=ImagePolicy(1536, "long"),
        ),
        Variant(
            "smolvlm-256m",
            "HuggingFaceTB/SmolVLM-256M-Instruct",
            download_bytes=513_000_000,
            vram_gb={"float32": 1.6, "bfloat16": 1.0, "float16": 1.0, "8bit": 0.9, "4bit": 0.9},
            architecture=_SMOLVLM1,
        ),
        Variant(
            "smolvlm-500m",
            "HuggingFaceTB/SmolVLM-500M-Instruct",
            download_bytes=1_020_000_000,
            vram_gb={"float32": 2.4, "bfloat16": 1.3, "float16": 1.3, "8bit": 1.0, "4bit": 0.9},
            architecture=_SMOLVLM1,
        ),
        Variant(
            "smolvlm-2.2b",
            "HuggingFaceTB/SmolVLM-Instruct",
            download_bytes=4_490_000_000,
            vram_gb={"float32": 10.0, "bfloat16": 5.1, "float16": 5.1, "8bit": 3.6, "4bit": 2.8},
            architecture=_SMOLVLM1,
            image=ImagePolicy(1536, "long"),
        ),
    ),
    default_variant="smolvlm2-500m",
    modes=(
        Mode("default", "Can you describe this image?", "As its authors ask"),
        SHORT,
        DETAILED,
        TAGS,
        Mode("text", "What text is in this image?", "The text in the picture"),
    ),
    image=ImagePolicy(2048, "long"),
    generation=Generation(
        max_new_tokens=500, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="Apache-2.0",
    note="An image is seen in up to 17 tiles, as its authors trained it; that is most of its cost.",
)
