"""Weights in 8 and 4 bit, by bitsandbytes: the language model's alone.

The vision tower and the projector stay as they are: they are small, SigLIP's pooling head reads its
weights in a way that quantised ones break, and what they lose, every token after them has lost.
"""

import importlib.util
import logging
import re
from collections.abc import Sequence
from typing import Any

from captiv.errors import ModelError

_PACKAGES = ("accelerate", "bitsandbytes")
_DEVICES = ("cuda", "cpu")


def arguments(
    torch: Any, transformers: Any, dtype: str, device: str, compute: Any, left_alone: Sequence[str]
) -> dict[str, Any]:
    """Return what from_pretrained() is told for weights in this precision on this device.

    Raises:
        ModelError: packages are missing, the device cannot, or nobody knows what to leave alone.
    """
    if not left_alone:
        raise ModelError(f"This model does not run in {dtype}.", hint="Leave --torch-dtype out.")
    if device.partition(":")[0] not in _DEVICES:
        raise ModelError(f"{dtype} runs on CUDA devices and on the CPU, not on {device}.")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"{dtype} needs {' and '.join(missing)}, which the worker does not have.",
            hint="Install them: pip install 'captiv[quant]'",
        )
    # It warns for each layer at each token that sums are not in float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    config: dict[str, Any] = {"llm_int8_skip_modules": list(left_alone)}
    if dtype == "8bit":
        config |= {"load_in_8bit": True}
    else:
        config |= {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": compute,
            "bnb_4bit_use_double_quant": True,
        }
    return {
        "quantization_config": transformers.BitsAndBytesConfig(**config),
        "device_map": {"": torch.device(device)},
    }


def quantised_modules(model: Any) -> list[str]:
    """Return the full names of the modules whose weights are quantised."""
    return [
        name
        for name, module in model.named_modules()
        if type(module).__module__.startswith("bitsandbytes")
    ]


def check_quantised(model: Any, left_alone: Sequence[str]) -> None:
    """Refuse a model in which what is to be left alone was quantised, or nothing was.

    Names in a checkpoint change between versions of transformers, and a pattern that fits none
    is no error there.

    Raises:
        ModelError: names the module.
    """
    quantised = quantised_modules(model)
    if not quantised:
        raise ModelError("No weight of this model was quantised.")
    wrong = [n for n in quantised if any(re.match(pattern, n) for pattern in left_alone)]
    names = [name for name, _ in model.named_modules()]
    unknown = [p for p in left_alone if not any(re.match(p, name) for name in names)]
    if wrong or unknown:
        what = f"{wrong[0]} was quantised" if wrong else f"there is no module {unknown[0]}"
        raise ModelError(
            f"The model would caption wrongly: {what}, which was to be left alone.",
            hint="Use another --torch-dtype; this one does not go with this version of "
            "transformers (docs/models.md).",
        )
