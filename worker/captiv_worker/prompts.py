"""The chat template that a server needs, and what it should read: from a checkpoint's small files.

    python -m captiv_worker.prompts MODEL            the chat template for `vllm serve`
    python -m captiv_worker.prompts MODEL --count    tokens of the question on standard input

MODEL is a directory, a model of the catalog, or a hub id, of which only the small files are
fetched. A question is one JSON object: `system`, `prompt`, and `size` of the image that is sent.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from captiv.catalog import choose
from captiv.errors import CaptivError, ModelError
from captiv_worker.engines.foretold import Prompts
from captiv_worker.engines.sights import sight_of
from captiv_worker.hub import explained, missing_packages

_SMALL = ("*.json", "*.jinja")


def main(words: Sequence[str]) -> int:
    """Print what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m captiv_worker.prompts")
    parser.add_argument("model")
    parser.add_argument("--count", action="store_true")
    given = parser.parse_args(words)
    try:
        path = _files_of(given.model)
        said = _count(path) if given.count else Prompts(path, "").for_chat()
    except CaptivError as error:
        sys.stderr.write(f"{given.model}: {error.message} {error.hint or ''}\n")
        return 1
    sys.stdout.write(said)
    return 0


def _count(path: Path) -> str:
    asked = json.load(sys.stdin)
    foretold = Prompts(path, asked["system"] or "").of(asked["prompt"])
    if foretold is None:
        raise ModelError("The prompt holds the token that stands for the image.")
    sight = sight_of(path, advised=False)
    seen = sight.fitted(Image.new("RGB", tuple(asked["size"])))
    return json.dumps({"tokens": foretold.tokens + sight.tokens(seen.size)})


def _files_of(model: str) -> Path:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    choice = choose(model)
    repo = choice.variant.source if choice is not None else model
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing_packages() from error
    try:
        return Path(snapshot_download(repo, allow_patterns=list(_SMALL)))
    except Exception as error:  # httpx2's, requests', the hub's own and OSError
        raise explained(repo, error) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
