"""Chat models that the catalog doesn't name: asked by what their checkpoints declare.

transformers drives many kinds of models that read an image and chat. A checkpoint of such a kind
says itself what it needs: its processor, its image token, its chat template, what ends an answer.
The worker takes it at its word, and checks it when it loads (engines/declared.py). Here is what can
be known without torch: the kinds of which a worker tries a checkpoint, and those with which it
can't work.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from captiv.catalog.model import DECLARED, Architecture, Family, ImagePolicy
from captiv.catalog.questions import DETAILED, PLAIN, SHORT, TAGS, TEXT
from captiv.catalog.waysout import served
from captiv.errors import UsageError
from captiv.wire import Generation

TRIED: Final = frozenset(
    {
        *("aria", "aya_vision", "cohere_compass", "cosmos3_edge", "deepseek_vl"),
        *("deepseek_vl_hybrid", "dots3_note", "ernie4_5_vl_moe", "exaone4_5", "gemma3"),
        *("gemma3n", "gemma4", "glm46v", "glm4v", "granite4_vision", "granite_docling"),
        *("hunyuan_vl", "hy_v4_vl", "hyperclovax_vision_v2", "idefics2", "internvl", "janus"),
        *("lfm3_vl", "lighton_ocr", "llava", "llava_next", "llava_next_video"),
        *("llava_onevision", "minicpmv4_6", "minicpmv4_7", "mllama", "ovis2", "paddleocr_vl"),
        *("qianfan_ocr", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl_moe", "qwen4_exp"),
        *("video_llama_3", "vipllava"),
    }
)
"""`model_type`s of transformers' image-text-to-text models that chat, and read images by Pillow.

A worker tries a checkpoint of such a kind as it loads. Tests have run few of them, which
docs/models.md names.
"""

WITHOUT_PILLOW: Final = frozenset(
    {
        *("apertus1p5", "cohere2_vision", "gemma4_unified", "glm4v_moe", "inkling2"),
        *("inkling2_loop", "inkling_mm_model", "kimi_k25", "lfm2_vl", "llama4", "minicpm_ocr"),
        *("minimax_m3_vl", "mistral3", "mistral_large4", "molmo2", "muse_glimmer", "muse_spark"),
        *("nemotron_h_omni", "perception_lm", "step3p7", "unlimited_ocr"),
    }
)
"""Those whose image processor needs torchvision, which captiv's engines go without."""

CHAT_MODEL = Family(
    name="chat-model",
    title="Any other chat model that sees, by what its checkpoint declares",
    architecture=Architecture("", DECLARED),
    variants=(),
    default_variant="",
    modes=(
        PLAIN,
        SHORT,
        DETAILED,
        TAGS,
        TEXT,
    ),
    image=ImagePolicy(1536, "long"),
    generation=Generation(
        max_new_tokens=512, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1.0
    ),
    takes_prompt=True,
    licence="its authors'",
    note="Name one by its hub id or directory: --model OWNER/NAME. It is asked by its own chat "
    "template, greedily, and checked when it loads; whether it captions well is its authors' word.",
)


def declared_family(config: Mapping[str, Any]) -> Family | None:
    """Return the family of a chat model with this config.json; None where none can be tried."""
    model_type = str(config.get("model_type", ""))
    if model_type not in TRIED:
        return None
    return replace(CHAT_MODEL, architecture=Architecture(model_type, DECLARED))


def refusal(source: str, config: Mapping[str, Any]) -> UsageError:
    """Return why captiv's own engines can't caption with a checkpoint, and what can."""
    model_type = str(config.get("model_type", ""))
    if model_type == "florence2":
        return _first_florence(source)
    if model_type in WITHOUT_PILLOW:
        return UsageError(
            f"{source} is a {model_type} model: its images are prepared by torchvision, which "
            "captiv's engines go without.",
            hint=served(source),
        )
    if "auto_map" in config:
        return UsageError(
            f"{source} brings code of its own along (model_type {model_type!r}), and captiv runs "
            "none (trust_remote_code=False).",
            hint="Use a release in transformers' own layout, often named -hf, or convert it. "
            + served(source, "--trust-remote-code"),
        )
    takes = (
        "It takes BLIP, GIT, Florence-2 and the other families of `captiv model list`, and most "
        "chat models of transformers that see."
    )
    return UsageError(
        f"captiv knows no family for {source}: its model_type is {model_type or 'not given'!r}.",
        hint=f"{takes} {served(source)}" if model_type else takes,  # without a type vLLM fails, too
    )


def _first_florence(source: str) -> UsageError:
    return UsageError(
        f"{source} is in the layout of Florence-2's first release, which runs code that it brings "
        "along; captiv runs none (trust_remote_code=False).",
        hint="Use the same weights as converted, for example florence-community/Florence-2-base, "
        "or convert a fine-tune as they were (transformers' convert_florence2_original_pytorch_to_"
        "hf.py). " + served(source, "--trust-remote-code"),
    )
