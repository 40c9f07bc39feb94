"""May this sidecar be replaced? The rule of promise 2, in one place."""

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from captiv.core.spec import Overwrite

Source = Literal["model", "hand", "import"]


class Keeping(Enum):
    """What to do with a sidecar that is there."""

    KEEP = "keep"
    REPLACE = "replace"
    RECORD_AND_REPLACE = "record the old text, then replace"


def author(text_hash: str, known: Mapping[str, Source]) -> Source:
    """Return who wrote the text that is there, by what captiv knows of that image (as `keeping`).

    A text that captiv does not know was edited by hand if captiv ever wrote or was told one for
    that image; else it was found there.
    """
    source = known.get(text_hash)
    if source is not None:
        return source
    return "hand" if any(s != "import" for s in known.values()) else "import"


def keeping(text_hash: str | None, known: Mapping[str, Source], overwrite: Overwrite) -> Keeping:
    """Return what may be done with a sidecar whose text hashes to `text_hash`.

    Args:
        text_hash: hash of the text that is there; None if the file is empty.
        known: hash and source of every earlier caption of that image in the store.
        overwrite: what the person asked for.

    A text that captiv wrote itself is replaced; one that was edited by hand since captiv wrote one,
    or set by hand through captiv, is replaced only with `all`; one that captiv never wrote is
    recorded first.
    """
    if text_hash is None:
        return Keeping.REPLACE
    if overwrite == "no":
        return Keeping.KEEP
    if author(text_hash, known) == "hand" and overwrite != "all":
        return Keeping.KEEP
    return Keeping.REPLACE if text_hash in known else Keeping.RECORD_AND_REPLACE
