"""LLaVA: 1.5, NeXT and OneVision, as llava-hf converted them."""

from captiv.catalog.model import DECLARED, Architecture, Family, ImagePolicy, Variant
from captiv.catalog.questions import DETAILED, PLAIN, SHORT
from captiv.wire import Generation

_TOWERS = ("clip_vision_model", "siglip_vision_model", "siglip2_vision_model")
_LLAVA = Architecture(
    "llava",
    "chat",
    tower_types=_TOWERS,
    vllm=True,
    left_alone=("model.vision_tower", "model.multi_modal_projector", "lm_head"),
)
_NEXT = Architecture("llava_next", DECLARED)
_ONEVISION = Architecture("llava_onevision", DECLARED)

LLAVA = Family(
    name="llava",
    title="LLaVA 1.5, NeXT and OneVision (llava-hf)",
    architecture=_LLAVA,
    variants=(
        Variant(
            "llava-1.5-7b",
            "llava-hf/llava-1.5-7b-hf",
            download_bytes=14_130_000_000,
            vram_gb={"float32": 30.0, "bfloat16": 15.5, "float16": 15.5, "8bit": 9.4, "4bit": 6.4},
            note="Llama 2 Community License.",
        ),
        Variant(
            "llava-next-7b",
            "llava-hf/llava-v1.6-mistral-7b-hf",
            download_bytes=15_130_000_000,
            vram_gb={"float32": 33.0, "bfloat16": 17.5, "float16": 17.5},
            architecture=_NEXT,
            image=ImagePolicy(1344, "long"),
            note="Sees an image in up to five tiles. Its language model is Mistral's (Apache-2.0).",
        ),
        Variant(
            "llava-onevision-7b",
            "llava-hf/llava-onevision-qwen2-7b-ov-hf",
            download_bytes=16_060_000_000,
            vram_gb={"float32": 35.0, "bfloat16": 19.0, "float16": 19.0},
            architecture=_ONEVISION,
            image=ImagePolicy(2304, "long"),
            note="Sees an image in many tiles. Apache-2.0.",
        ),
    ),
    default_variant="llava-1.5-7b",
    modes=(
        PLAIN,
        SHORT,
        DETAILED,
    ),
    image=ImagePolicy(336),
    generation=Generation(
        max_new_tokens=512, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="by variant; see the notes",
    note="The older chat models that others are measured by. Memory figures are calculated, not "
    "measured.",
)
