"""Which CUDA a container image asks of its host, as far as its name tells."""

import re
from typing import Final

_TAG: Final = re.compile(r"(?:^|[^a-z0-9])cu(?:da)?-?(\d{2})\.?(\d)")
"""captiv's worker images end in `-cu128`; RunPod writes `-cuda12.8.1-` or `-cu1281-`."""


def cuda_of(image: str) -> str | None:
    """Return the CUDA release that the image's tag names, such as `12.8`; None if it names none.

    A host with an older driver starts the image all the same, and torch finds no GPU in it.
    """
    name = image.partition("@")[0]
    _, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # the port of a registry
        return None
    found = _TAG.search(tag.lower())
    return f"{found[1]}.{found[2]}" if found else None
