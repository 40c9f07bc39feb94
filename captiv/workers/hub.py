"""The config.json of a model that the catalog does not name: in a folder, the cache or the hub."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from captiv import __version__
from captiv.catalog.decoding import FILE
from captiv.catalog.foreign import sourced
from captiv.catalog.model import BUILTIN
from captiv.catalog.tagging import tagger_in
from captiv.catalog.waysout import ADAPTER, adapter, gguf, is_gguf, refuse_folder
from captiv.errors import ModelError, UsageError
from captiv.offload import offload
from captiv.workers.transport import PROXY_HINT, PROXY_REFUSED, PROXY_STATUS, is_proxys_refusal

_HUB = "https://huggingface.co"
_TIMEOUT_S = 10.0
_MAX_BYTES = 1_000_000
_WEIGHTS = (".safetensors", ".bin", ".onnx")


def read_config(source: str) -> dict[str, Any]:
    """Return the config.json of a local directory, or of a hub id (`owner/name`).

    Raises:
        UsageError: it is neither.
        ModelError: the hub cannot be reached, or does not give it out.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if (tagger := tagger_in(folder)) is not None:
            return tagger
        refuse_folder(folder)
        return _parsed(_local(folder), source)
    if is_gguf(source):
        raise gguf(source)
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise UsageError(
            f"There is no model {source!r}.",
            hint="`captiv model list` names the models; a local directory or a hub id (owner/name) "
            "of a known family works too.",
        )
    found = cached(source)
    return _parsed(found.read_bytes() if found else _fetched(source), source)


def read_decoding(source: str) -> dict[str, Any]:
    """Return the generation_config.json of a model of which `read_config` has the config.json.

    Empty where there is none. A hub that cannot be reached is no such case: a run goes by these
    settings, and is found again by them.

    Raises:
        ModelError: the hub cannot be reached, or the file is damaged.
    """
    folder = Path(source).expanduser()
    beside = folder / "config.json" if folder.is_dir() else cached(source)
    if beside is not None:
        file = beside.with_name(FILE)
        if file.is_file():
            return _parsed(file.read_bytes(), source, FILE)
        if is_here(source):  # else only config.json was looked at before
            return {}
    found = _fetched_if_there(source, FILE)
    return {} if found is None else _parsed(found, source, FILE)


def require_weights(source: str) -> None:
    """Refuse a local directory without weights, before a worker is started for it.

    Raises:
        UsageError: there are none.
    """
    folder = Path(source).expanduser()
    kinds = ("*.safetensors", "pytorch_model*.bin", "*.onnx")
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
    folder = _snapshots(source)
    return next(iter(sorted(folder.glob("*/config.json"), reverse=True)), None)


def has_weights(source: str) -> bool:
    """Whether the weights of a model of the hub were downloaded, as far as their names tell."""
    found = _snapshots(source).glob("*/*")
    return any(file.name.endswith(_WEIGHTS) and file.exists() for file in found)


def held_bytes(source: str) -> int:
    """Return how much is there of a model of the hub, of a download that was cut off, too."""
    try:
        return sum(file.stat().st_size for file in (_model_folder(source) / "blobs").iterdir())
    except OSError:  # nothing is there yet, or it moves just now
        return 0


async def unavailable(source: str) -> ModelError | None:
    """Return why the hub cannot give out a model that is not here; None if it may."""
    if await offload(is_here, source):
        return None
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return ModelError(
            f"{source} is not on this machine, and HF_HUB_OFFLINE forbids downloading it.",
            hint="Unset it, or copy the model here and pass its folder: --model DIR.",
        )
    url, headers = _file_of(source, _proof(source))
    http = await offload(partial(httpx2.AsyncClient, headers=headers, follow_redirects=True))
    try:
        async with http:
            response = await _head_of(http, url)
    except httpx2.TimeoutException:
        return None
    except httpx2.HTTPError as error:
        return _unreachable(source, error)
    return None if response.status_code >= 500 else _withheld(source, response.status_code)


async def _head_of(http: httpx2.AsyncClient, url: str) -> httpx2.Response:
    """Ask for a file and leave its body: a list of tags has megabytes."""
    async with http.stream("GET", url, timeout=_TIMEOUT_S) as response:
        return response


def _proof(source: str) -> str:
    """Return a file that the hub has of this model: a tagger's list, where no config.json is."""
    known = sourced(source)
    files = known.family.architecture.files if known is not None else ()
    return files[-1] if files else "config.json"


def is_here(source: str) -> bool:
    """Whether a worker on this machine needs no download for this model, as far as can be seen."""
    folder = Path(source).expanduser()
    return source.startswith(BUILTIN) or folder.is_dir() or has_weights(source)


def _model_folder(source: str) -> Path:
    return cache_folder() / f"models--{source.replace('/', '--')}"


def _snapshots(source: str) -> Path:
    return _model_folder(source) / "snapshots"


def _local(folder: Path) -> bytes:
    config = folder / "config.json"
    if not config.is_file():
        raise UsageError(
            f"{folder} holds no model: it has no config.json.",
            hint="A tagger's folder needs model.onnx and selected_tags.csv.",
        )
    return config.read_bytes()


def _fetched(source: str) -> bytes:
    return _content(source, _asked(source, "config.json"))


def _fetched_if_there(source: str, file: str) -> bytes | None:
    response = _asked(source, file)
    return None if response.status_code == 404 else _content(source, response)


def _content(source: str, response: httpx2.Response) -> bytes:
    refused = _withheld(source, response.status_code)
    if refused is not None:
        raise _adapter_on_hub(source, response.status_code) or refused
    return response.content[:_MAX_BYTES]


def _asked(source: str, file: str) -> httpx2.Response:
    url, headers = _file_of(source, file)
    try:
        return httpx2.get(url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True)
    except httpx2.HTTPError as error:
        raise _unreachable(source, error) from error


def _file_of(source: str, file: str) -> tuple[str, dict[str, str]]:
    """Return where the hub has a file of a model, and the headers to ask for it with."""
    headers = {"User-Agent": f"captiv/{__version__}"}
    if token := os.environ.get("HF_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    return f"{_endpoint()}/{source}/resolve/main/{file}", headers


def _adapter_on_hub(source: str, status: int) -> UsageError | None:
    """Return why a hub id without a config.json is refused, if it is an adapter."""
    if status != 404:
        return None
    try:
        response = _asked(source, ADAPTER)
    except ModelError:
        return None  # what the hub said of config.json is true all the same
    if response.status_code != 200:
        return None
    return adapter(source, _parsed(response.content[:_MAX_BYTES], source))


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")


def _unreachable(source: str, error: httpx2.HTTPError) -> ModelError:
    if is_proxys_refusal(error):
        return ModelError(PROXY_REFUSED.format(url=_endpoint()), hint=PROXY_HINT)
    return ModelError(
        f"The model hub cannot be reached to look at {source}: {error}.",
        hint="Connect, or copy the model here and pass its folder: --model DIR.",
    )


def _withheld(source: str, status: int) -> ModelError | None:
    """Return what an answer of the hub says against a model."""
    if status in (401, 403):
        return ModelError(
            f"The hub does not give out {source} (HTTP {status}).",
            hint=f"Accept its licence at {_endpoint()}/{source} and set HF_TOKEN.",
        )
    if status == PROXY_STATUS:
        return ModelError(PROXY_REFUSED.format(url=_endpoint()), hint=PROXY_HINT)
    return None if status == 200 else ModelError(f"The hub has no model {source} (HTTP {status}).")


def _parsed(data: bytes, source: str, file: str = "config.json") -> dict[str, Any]:
    try:
        config = json.loads(data)
    except ValueError as error:
        raise ModelError(f"The {file} of {source} is damaged: {error}.") from error
    if not isinstance(config, dict):
        raise ModelError(f"The {file} of {source} is damaged: no JSON object.")
    return config
