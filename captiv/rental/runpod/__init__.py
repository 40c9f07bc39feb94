"""RunPod: the only room that knows it. `RUNPOD` is the provider, `RunpodApi` its REST API v2."""

from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.provider import RUNPOD, RunpodProvider

__all__ = ["RUNPOD", "RunpodApi", "RunpodProvider"]
