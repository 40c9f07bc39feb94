"""The config.json of a model that the catalog does not name: in a folder, the cache or the hub."""

import json
import os
from pathlib import Path
from typing import Any

import httpx2

from captiv import __version__
from captiv.errors import ModelError, UsageError
from captiv.workers.transport import PROXY_HINT, PROXY_REFUSED, PROXY_STATUS, is_proxys_refusal

_HUB = "https://huggingface.co"
_TIMEOUT_S = 10.0
_MAX_BYTES = 1_000_000


def read_config(source: str) -> dict[str, Any]:
    """Return the config.json of a local directory, or of a hub id (`owner/name`).

    Raises:
        UsageError: it is neither.
        ModelError: the hub cannot be reached, or does not give it out.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _parsed(_local(folder), source)
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise UsageError(
            f"There is no model {source!r}.",
            hint="`captiv model list` names the models; a local directory or a hub id (owner/name) "
            "of a known family works too.",
        )
    found = cached(source)
    return _parsed(found.read_bytes() if found else _fetched(source), source)


def require_weights(source: str) -> None:
    """Refuse a local directory without weights, before a worker is started for it.

    Raises:
        UsageError: there are none.
    """
    folder = Path(source).expanduser()
    kinds = ("*.safetensors", "pytorch_model*.bin")
    if folder.is_dir() and not any(next(folder.glob(kind), None) for kind in kinds):
        raise UsageError(
            f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin.",
            hint="Copy them beside config.json, or give the directory that has both.",
        )


def cache_folder() -> Path:
    """Return where models of the hub are kept, whether it is there or not."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def cached(source: str) -> Path | None:
    """Return the config.json of a model that was downloaded before, or None."""
    folder = cache_folder() / f"models--{source.replace('/', '--')}" / "snapshots"
    return next(iter(sorted(folder.glob("*/config.json"), reverse=True)), None)


def _local(folder: Path) -> bytes:
    config = folder / "config.json"
    if not config.is_file():
        raise UsageError(f"{folder} holds no model: it has no config.json.")
    return config.read_bytes()


def _fetched(source: str) -> bytes:
    endpoint = os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")
    headers = {"User-Agent": f"captiv/{__version__}"}
    if token := os.environ.get("HF_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    try:
        response = httpx2.get(
            f"{endpoint}/{source}/resolve/main/config.json",
            headers=headers,
            timeout=_TIMEOUT_S,
            follow_redirects=True,
        )
    except httpx2.HTTPError as error:
        if is_proxys_refusal(error):
            raise ModelError(PROXY_REFUSED.format(url=endpoint), hint=PROXY_HINT) from error
        raise ModelError(
            f"The model hub cannot be reached to look at {source}: {error}.",
            hint="Connect, or copy the model here and pass its folder: --model DIR.",
        ) from error
    if response.status_code == PROXY_STATUS:
        raise ModelError(PROXY_REFUSED.format(url=endpoint), hint=PROXY_HINT)
    if response.status_code in (401, 403):
        raise ModelError(
            f"The hub does not give out {source} (HTTP {response.status_code}).",
            hint=f"Accept its licence at {endpoint}/{source} and set HF_TOKEN.",
        )
    if response.status_code != 200:
        raise ModelError(f"The hub has no model {source} (HTTP {response.status_code}).")
    return response.content[:_MAX_BYTES]


def _parsed(data: bytes, source: str) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except ValueError as error:
        raise ModelError(f"The config.json of {source} is damaged: {error}.") from error
    if not isinstance(config, dict):
        raise ModelError(f"The config.json of {source} is damaged: no JSON object.")
    return config
