"""Qwen-VL: general models that see, in many sizes; and CapRL, which is trained to caption."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.catalog.questions import DETAILED, SHORT, TAGS, TEXT
from captiv.wire import Generation

_LEFT_ALONE = ("model.visual", "lm_head")
_QWEN3 = Architecture("qwen3_vl", "chat", vllm=True, left_alone=_LEFT_ALONE)
_QWEN3_MOE = Architecture("qwen3_vl_moe", "chat")
"""bitsandbytes does not reach its experts, so that it is not quantised."""
_QWEN2 = Architecture("qwen2_vl", "chat", left_alone=_LEFT_ALONE)
_QWEN25 = Architecture("qwen2_5_vl", "chat", vllm=True, left_alone=_LEFT_ALONE)

_QWEN3_DECODING = Generation(
    max_new_tokens=512,
    min_new_tokens=0,
    num_beams=1,
    temperature=0.7,
    top_p=0.8,
    top_k=20,
    repetition_penalty=1.0,
    presence_penalty=1.5,
)
"""As its card says; the files of the checkpoint leave the presence penalty out."""
_QWEN25_DECODING = Generation(
    max_new_tokens=512, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.05
)
"""Its files say a temperature of a millionth, which is greedy."""
_QWEN2_DECODING = Generation(
    max_new_tokens=512, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
)
"""Its files sample of one token only, which is greedy."""
_CAPRL_DECODING = Generation(
    max_new_tokens=2048,
    min_new_tokens=0,
    num_beams=1,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    repetition_penalty=1.0,
)
"""As its authors evaluate it (InternLM/CapRL), and with the prompt that they have there."""
_CAPRL = ("caprl-2b", "caprl-4b")
_CAPRL_NOTE = (
    "CapRL (InternLM): Qwen3-VL trained to caption densely. Its sizes are those of the Qwen3-VL "
    "that it was made from."
)

_VARIANTS = (
    Variant(
        "qwen3-vl-2b",
        "Qwen/Qwen3-VL-2B-Instruct",
        download_bytes=4_260_000_000,
        vram_gb={"float32": 9.8, "bfloat16": 5.4, "float16": 5.4, "8bit": 4.0, "4bit": 3.4},
    ),
    Variant(
        "qwen2.5-vl-3b",
        "Qwen/Qwen2.5-VL-3B-Instruct",
        download_bytes=7_510_000_000,
        vram_gb={"float32": 16.5, "bfloat16": 9.0, "float16": 9.0, "8bit": 6.0, "4bit": 4.6},
        architecture=_QWEN25,
        generation=_QWEN25_DECODING,
        note="Licensed for research only (Qwen Research License).",
    ),
    Variant(
        "qwen3-vl-4b",
        "Qwen/Qwen3-VL-4B-Instruct",
        download_bytes=8_880_000_000,
        vram_gb={"float32": 19.2, "bfloat16": 10.2, "float16": 10.2, "8bit": 6.5, "4bit": 4.8},
    ),
    Variant(
        "qwen2.5-vl-7b",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        download_bytes=16_580_000_000,
        vram_gb={"float32": 35.0, "bfloat16": 18.0, "float16": 18.0, "8bit": 11.4, "4bit": 8.2},
        architecture=_QWEN25,
        generation=_QWEN25_DECODING,
    ),
    Variant(
        "qwen3-vl-8b",
        "Qwen/Qwen3-VL-8B-Instruct",
        download_bytes=17_530_000_000,
        vram_gb={"float32": 37.0, "bfloat16": 19.0, "float16": 19.0, "8bit": 12.0, "4bit": 8.6},
    ),
    Variant(
        "qwen3-vl-30b-a3b",
        "Qwen/Qwen3-VL-30B-A3B-Instruct",
        download_bytes=62_140_000_000,
        vram_gb={"float32": 127.0, "bfloat16": 64.0, "float16": 64.0},
        architecture=_QWEN3_MOE,
        note="A mixture of experts: 31 billion weights to hold, 3 billion at work for a token.",
    ),
    Variant(
        "qwen3-vl-32b",
        "Qwen/Qwen3-VL-32B-Instruct",
        download_bytes=66_710_000_000,
        vram_gb={
            "float32": 137.0,
            "bfloat16": 69.0,
            "float16": 69.0,
            "8bit": 38.0,
            "4bit": 23.0,
        },
    ),
    Variant(
        "qwen2-vl-2b",
        "Qwen/Qwen2-VL-2B-Instruct",
        download_bytes=4_420_000_000,
        vram_gb={"float32": 10.2, "bfloat16": 5.6, "float16": 5.6, "8bit": 4.2, "4bit": 3.6},
        architecture=_QWEN2,
        generation=_QWEN2_DECODING,
    ),
    Variant(
        "qwen2-vl-7b",
        "Qwen/Qwen2-VL-7B-Instruct",
        download_bytes=16_580_000_000,
        vram_gb={"float32": 35.0, "bfloat16": 18.0, "float16": 18.0, "8bit": 11.4, "4bit": 8.2},
        architecture=_QWEN2,
        generation=_QWEN2_DECODING,
    ),
    Variant(
        "caprl-2b",
        "internlm/CapRL-Qwen3VL-2B",
        download_bytes=4_260_000_000,
        vram_gb={"float32": 9.8, "bfloat16": 5.4, "float16": 5.4, "8bit": 4.0, "4bit": 3.4},
        generation=_CAPRL_DECODING,
        note=_CAPRL_NOTE,
    ),
    Variant(
        "caprl-4b",
        "internlm/CapRL-Qwen3VL-4B",
        download_bytes=8_880_000_000,
        vram_gb={"float32": 19.2, "bfloat16": 10.2, "float16": 10.2, "8bit": 6.5, "4bit": 4.8},
        generation=_CAPRL_DECODING,
        note=_CAPRL_NOTE,
    ),
)
_QWEN = tuple(variant.name for variant in _VARIANTS if variant.name not in _CAPRL)

QWEN_VL = Family(
    name="qwen-vl",
    title="Qwen3-VL, Qwen2.5-VL and Qwen2-VL (Alibaba), CapRL (InternLM)",
    architecture=_QWEN3,
    variants=_VARIANTS,
    default_variant="qwen3-vl-2b",
    modes=(
        Mode("default", "Describe this image.", "As its authors ask", variants=_QWEN),
        Mode(
            "default",
            "Please describe this image in detail",
            "As its authors ask",
            variants=_CAPRL,
        ),
        SHORT,
        DETAILED,
        TAGS,
        TEXT,
    ),
    image=ImagePolicy(1152, "area"),
    generation=_QWEN3_DECODING,
    takes_prompt=True,
    licence="Apache-2.0",
    note="Sees an image in its own shape, with at most 1,280 tokens. Memory figures are "
    "calculated, not measured.",
)
