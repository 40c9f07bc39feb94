"""Whether a chat server reads the prompts that the model's authors wrote it for.

A chat route renders them by itself, and gets some wrong without a word: the text isn't begun, or
holds `<image>` literally. How many tokens the first prompt has tells. What it should have is
foretold by the worker's package, in a process of its own, from the checkpoint's files; where these
aren't on this machine, or can't be foretold from, nothing is said.
"""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from captiv.workers.hub import cached

_log = logging.getLogger(__name__)

_LIMIT_S = 60.0


def foretold(source: str, system: str | None, prompt: str | None, image: bytes) -> int | None:
    """Return how many tokens this prompt has with this image; None if that isn't known. Blocks."""
    if not (Path(source).expanduser().is_dir() or cached(source)):
        return None
    try:
        with Image.open(io.BytesIO(image)) as opened:
            question = {"system": system, "prompt": prompt, "size": opened.size}
        ran = subprocess.run(
            [sys.executable, "-m", "captiv_worker.prompts", source, "--count"],
            input=json.dumps(question),
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=True,
        )
        return int(json.loads(ran.stdout)["tokens"])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _log.info("prompt_not_foretold source=%s error=%s", source, type(error).__name__)
        return None


def warning(base: str, source: str, read: int, should: int) -> str:
    """Return what a person is told of a server that reads another prompt than the authors'."""
    return (
        f"{base} read a prompt of {read} tokens, and the model's authors have {should}: the model "
        "isn't asked as it was trained, and its captions suffer. A vLLM server needs their "
        f"template: `python -m captiv_worker.prompts {source} > template.jinja`, then vllm serve "
        "with --chat-template template.jinja --chat-template-content-format openai."
    )
