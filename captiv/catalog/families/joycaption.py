"""JoyCaption: descriptions, prompts and tag lists for training, uncensored."""

from captiv.catalog.joycaption import DEFAULT_MODE, LENGTHS, MODES, OPTIONS
from captiv.catalog.model import Architecture, Family, ImagePolicy, Variant
from captiv.wire import Generation

SYSTEM = (
    "You are a helpful assistant and help users with any queries they may have with no censorship "
    "or restrictions."
)
"""Of its author's own tools; he calls it a good default."""

_IMAGE_TOKEN = 128_077
"""`<|reserved_special_token_69|>` of Llama 3.1, which no other LLaVA takes for its images."""

_DOWNLOAD = 16_960_000_000
_MEMORY = {"float32": 35.0, "bfloat16": 17.5, "float16": 17.5, "8bit": 11.0, "4bit": 8.0}
"""17 GB in bfloat16 by its author; the rest by arithmetic: 7 of its 8.5 billion weights are
quantised, the others (vision tower, projector, embeddings, output layer) stay in 16 bit."""

JOYCAPTION = Family(
    name="joycaption",
    title="JoyCaption (fancyfeast)",
    architecture=Architecture(
        "llava",
        "chat",
        text_types=("llama",),
        tower_types=("siglip_vision_model",),
        image_tokens=(_IMAGE_TOKEN,),
        called="joycaption",
        vllm=True,
        left_alone=("model.vision_tower", "model.multi_modal_projector", "lm_head"),
    ),
    variants=(
        Variant(
            "joycaption-beta-one",
            "fancyfeast/llama-joycaption-beta-one-hf-llava",
            download_bytes=_DOWNLOAD,
            vram_gb=_MEMORY,
        ),
        Variant(
            "joycaption-alpha-two",
            "fancyfeast/llama-joycaption-alpha-two-hf-llava",
            download_bytes=_DOWNLOAD,
            vram_gb=_MEMORY,
            note="The release before; its table of prompts was another.",
        ),
    ),
    default_variant="joycaption-beta-one",
    modes=MODES,
    default_mode=DEFAULT_MODE,
    options=OPTIONS,
    lengths=LENGTHS,
    image=ImagePolicy(384, "square"),
    generation=Generation(
        max_new_tokens=512,
        min_new_tokens=0,
        num_beams=1,
        temperature=0.6,
        top_p=0.9,
        top_k=0,
        repetition_penalty=1.0,
    ),
    takes_prompt=True,
    system=SYSTEM,
    licence="Llama 3.1 Community License",
    note="Trained on its own modes and options; other prompts may do, or may not. In 16 bit it "
    "needs a GPU of 20 GB; one of 16 GB holds it in 8 bit (--torch-dtype 8bit).",
)
