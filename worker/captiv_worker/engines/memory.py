"""Gives the memory of an engine that nobody holds any more back to the device."""

import gc
import sys


def release_memory() -> None:
    """Collect what only its own circles keep alive, and empty the caches of torch, if it is here.

    An engine of one's own may never have imported torch, and then it is not imported now.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
