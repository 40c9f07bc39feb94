"""Fetches a checkpoint from the model hub once, into the hub's own cache.

A cached copy that is whole is used without asking the hub. Else the hub is asked for the sizes, the
disk is checked, and the files that an engine reads are downloaded: configuration, tokenizer, and
the weights as safetensors (as .bin only where there are no others). HF_HOME, HF_TOKEN and
HF_HUB_OFFLINE mean what they mean everywhere.
"""

import errno
import json
import logging
import re
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from captiv.catalog.tagging import CAMIE_FILES, LISTED
from captiv.catalog.waysout import adapter, adapter_named, gguf, gguf_named
from captiv.errors import CaptivError, DiskFull, HostUnfit, ModelError

_log = logging.getLogger(__name__)

Report = Callable[[str, int | None, int | None], None]
"""Told the phase, and the bytes done and to do where they are known."""

_ASK_S = 20.0
_TICK_S = 0.5
_HEADROOM = 1.1
"""Space wanted on the disk, as a multiple of what is downloaded."""

_SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_TEXT = re.compile(r"[^/]+\.(json|txt|jinja|model)")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "tokenizer.model", "vocab.json")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")


def fetch(repo: str, report: Report) -> Path:
    """Return the local directory of this checkpoint, downloading what is missing.

    Raises:
        ModelError: it cannot be had; says why and what to do.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise missing_packages() from error
    for name in ("config.json", LISTED[1], CAMIE_FILES[1]):
        cached = huggingface_hub.try_to_load_from_cache(repo, name)
        if isinstance(cached, str) and is_whole(Path(cached).parent):
            return Path(cached).parent
    try:
        return _download(repo, report)
    except CaptivError:
        raise
    except Exception as error:  # the hub's client raises its own, httpx2's and OSError
        _log.warning("download_failed repo=%s", repo, exc_info=error)
        raise explained(repo, error) from error


def missing_packages() -> ModelError:
    """Return what is said where torch, transformers or the hub's client are not installed."""
    return ModelError(
        "Captioning on this machine needs torch and transformers, which are not installed.",
        hint="Install them: pip install 'captiv[local]'",
    )


def is_whole(directory: Path) -> bool:
    """Return whether a checkpoint's directory has all that an engine reads."""
    has = {path.name for path in directory.iterdir() if path.exists()}
    if _of_tagger(has):
        return True
    if not has.intersection(_TOKENIZERS) or not has.intersection(_PROCESSORS):
        return False
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if index in has:
            shards = json.loads((directory / index).read_text(encoding="utf-8"))["weight_map"]
            return has.issuperset(shards.values())
    return "config.json" in has and not has.isdisjoint({"model.safetensors", "pytorch_model.bin"})


def wanted(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return which of a repository's files an engine reads, with their sizes in bytes."""
    if tagger := _of_tagger(sizes):
        return {name: sizes[name] for name in tagger}
    weights = [name for name in sizes if _SAFETENSORS.fullmatch(name)]
    weights = weights or [name for name in sizes if _PICKLED.fullmatch(name)]
    return {n: size for n, size in sizes.items() if n in weights or _TEXT.fullmatch(n)}


def _of_tagger(names: Collection[str]) -> tuple[str, ...]:
    """Return the files of a tagger, if all of them are among these."""
    return next((files for files in (CAMIE_FILES, LISTED) if set(files) <= set(names)), ())


def check_space(cache: Path, needed: int) -> None:
    """Refuse a download that the disk of the cache cannot hold.

    Raises:
        ModelError: names the disk, what is needed and what is free.
    """
    there = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed * _HEADROOM:
        raise ModelError(
            f"The download needs {_size(needed * _HEADROOM)} in {cache}, "
            f"where {_size(free)} are free.",
            hint="Free some space, or set HF_HOME to a folder on a larger disk.",
        )


def _download(repo: str, report: Report) -> Path:
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import disable_progress_bars

    info: Any = HfApi().model_info(repo, files_metadata=True, timeout=_ASK_S)
    names = [file.rfilename for file in info.siblings or ()]
    if adapter_named(names):
        raise adapter(repo, {})
    if gguf_named(names):
        raise gguf(repo)
    files = wanted({file.rfilename: file.size or 0 for file in info.siblings or ()})
    total = sum(files.values())
    cache = Path(constants.HF_HUB_CACHE)
    blobs = cache / repo_folder_name(repo_id=repo, repo_type="model") / "blobs"
    check_space(cache, total - min(total, _bytes_in(blobs)))
    disable_progress_bars()
    with _reporting(blobs, total, report):
        path = snapshot_download(repo, allow_patterns=list(files), max_workers=4)
    report("downloading", total, total)
    return Path(path)


@contextmanager
def _reporting(blobs: Path, total: int, report: Report) -> Iterator[None]:
    """Report how much has arrived, by what lies in the cache, however it is transferred."""
    done = threading.Event()

    def watch() -> None:
        while True:
            report("downloading", min(total, _bytes_in(blobs)), total)
            if done.wait(_TICK_S):
                return

    watcher = threading.Thread(target=watch, name="download", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _bytes_in(directory: Path) -> int:
    count = 0
    for path in directory.glob("*"):
        try:
            count += path.stat().st_size
        except FileNotFoundError:
            continue  # a part that has just become whole
    return count


def explained(repo: str, error: Exception) -> ModelError:
    """Return what a failure of the hub's client means for a person."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError) or status in (401, 403):
        return ModelError(
            f"The hub does not give {repo} to this user (or does not know it).",
            hint=f"Accept the licence at https://huggingface.co/{repo} and set HF_TOKEN.",
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return ModelError(f"The hub knows no model {repo}.", hint="captiv model list names some.")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return ModelError(
            f"{repo} is not on this machine, and HF_HUB_OFFLINE forbids the download.",
            hint="Unset HF_HUB_OFFLINE, or copy the model here and pass --model DIR.",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DiskFull(
            f"The disk filled up while {repo} was downloaded.",
            hint="Free some space, or set HF_HOME to a folder on a larger disk.",
        )
    if isinstance(error, (TypeError, ValueError, LookupError, AttributeError)):
        return ModelError(
            f"The download of {repo} broke ({type(error).__name__}); the log says why.",
            hint="Upgrade huggingface_hub, or copy the model here and pass --model DIR.",
        )
    return HostUnfit(
        f"{repo} is not on this machine, and the hub cannot be reached ({type(error).__name__}).",
        hint="Connect, or run where the hub is reachable, or copy the model here "
        "and pass --model DIR.",
    )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
