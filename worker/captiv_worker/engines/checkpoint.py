"""Reads a checkpoint from its local directory, and refuses one that is not whole.

Nothing is asked of the hub here. Attention and cache are left to what each family allows: forcing
either breaks some.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from captiv.errors import CaptivError, ModelError
from captiv_worker.engines.runtime import has_no_memory
from captiv_worker.engines.spec import DeviceLost, OutOfMemory

_AGAIN = "The copy is damaged or of another model: fetch it again."


def read_part(part: str, path: Path, read: Callable[[], Any]) -> Any:
    """Return what `read` reads: a processor, a tokenizer, weights.

    Raises:
        ModelError: names the part and what the library said.
        OutOfMemory: it was read, and is too large.
    """
    with _told(f"The {part} in {path} cannot be read"):
        return read()


@contextmanager
def together(path: Path) -> Iterator[None]:
    """Translate whatever a library raises over files that do not go together.

    Raises: ModelError.
    """
    with _told(f"The files in {path} do not go together"):
        yield


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, OutOfMemory, DeviceLost, CaptivError):
        raise
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ...
        if has_no_memory(error):
            raise OutOfMemory(str(error).partition("\n")[0][:200]) from error
        raise ModelError(f"{what}: {_said(error)}.", hint=_AGAIN) from error


def _said(error: Exception) -> str:
    """Return the first sentence of what the library said."""
    words = " ".join(str(error).split())
    first = re.split(r"(?<=[^.])\.(?: |$)", words, maxsplit=1)[0].rstrip(".")
    if not first or isinstance(error, KeyError | TypeError | AttributeError):
        first = f"{type(error).__name__} {first}".strip()
    return first if len(first) <= 200 else f"{first[:200].rpartition(' ')[0]} …"


def read_processor(cls: Any, path: Path, **arguments: Any) -> Any:
    """Return the processor, image processor or tokenizer of this class.

    Raises: ModelError.
    """
    return read_part(
        "processor",
        path,
        lambda: cls.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, **arguments
        ),
    )


def read_model(
    cls: Any, path: Path, dtype: Any, *, unused: Sequence[str] = (), **arguments: Any
) -> Any:
    """Return the model in this precision, with every weight that a caption depends on.

    `unused` are patterns, from the start of a weight's name, of those that no caption depends on.

    Raises:
        ModelError: weights are missing, unreadable, or in another precision.
    """
    model, report = read_part(
        "weights",
        path,
        lambda: cls.from_pretrained(
            path,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **arguments,
        ),
    )
    missing = sorted(
        name for name in report["missing_keys"] if not any(re.match(p, name) for p in unused)
    )
    if missing:
        raise ModelError(
            f"The weights in {path} lack {len(missing)} tensors, first {missing[0]}.", hint=_AGAIN
        )
    read = {weight.dtype for weight in model.parameters()}
    if dtype not in read:  # a few may stay in float32: BLIP-2 wants it of its queries
        raise ModelError(f"The weights in {path} were read as {read}, not {dtype}.")
    return model
