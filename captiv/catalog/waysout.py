"""What is said of a checkpoint that captiv doesn't drive, with what its owner can do instead.

captiv on the command line knows all of it before a GPU is rented or a byte of weights downloaded.
"""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from captiv.errors import UsageError

ADAPTER: Final = "adapter_config.json"
_WHOLE = re.compile(r"(model|pytorch_model)[^/]*\.(safetensors|bin)")
"""A file of whole weights; an adapter's is called adapter_model."""
_GGUF = re.compile(r"\.gguf$|[-_.]gguf(/|$)", re.IGNORECASE)


def served(source: str, *more: str) -> str:
    """Return how a chat server captions with this checkpoint, as commands."""
    command = " ".join(["vllm serve", source, *more, "--limit-mm-per-prompt '{\"image\": 1}'"])
    return (
        f"Have vLLM serve it: `{command}`, and caption with `--worker http://127.0.0.1:8000 "
        "--protocol openai`."
    )


def is_gguf(source: str) -> bool:
    """Whether a name is that of a GGUF file, or of a hub repository of them."""
    return _GGUF.search(source) is not None


def gguf(source: str) -> UsageError:
    """Return why a GGUF file is refused."""
    return UsageError(
        f"{source} is in llama.cpp's format (GGUF), which captiv's engines don't read.",
        hint="Have llama.cpp serve it: `llama-server -m MODEL.gguf --mmproj MMPROJ.gguf --port "
        "8080`, and caption with `--worker http://127.0.0.1:8080 --protocol openai`. Or name the "
        "checkpoint that it was converted from.",
    )


def adapter(source: str, config: Mapping[str, Any]) -> UsageError:
    """Return why an adapter is refused, by its adapter_config.json."""
    base = str(config.get("base_model_name_or_path") or "BASE")
    return UsageError(
        f"{source} is an adapter for {base}, without that model's own weights.",
        hint="Merge it: load the base, then peft's "
        f"`PeftModel.from_pretrained(base, {source!r}).merge_and_unload().save_pretrained(DIR)`, "
        "copy the base's processor and tokenizer files into DIR, and pass --model DIR. "
        + served(base, "--enable-lora", "--lora-modules", f"adapter={source}")
        + " The adapter's name there is --model adapter.",
    )


def adapter_named(names: Collection[str]) -> bool:
    """Whether these files are an adapter's, and no model's beside it."""
    return ADAPTER in names and not any(_WHOLE.fullmatch(name) for name in names)


def gguf_named(names: Collection[str]) -> bool:
    """Whether these files are GGUF, and no checkpoint that transformers reads."""
    return any(is_gguf(name) for name in names) and not any(_WHOLE.fullmatch(n) for n in names)


def refuse_folder(folder: Path) -> None:
    """Refuse a local directory that holds an adapter, or GGUF files, and no checkpoint.

    Raises:
        UsageError: says what to do with it.
    """
    names = [file.name for file in folder.iterdir()]
    if adapter_named(names):
        try:
            config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            config = {}
        raise adapter(str(folder), config if isinstance(config, dict) else {})
    if gguf_named(names):
        raise gguf(str(folder))
