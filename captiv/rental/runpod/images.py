"""The public images that pods start from when captiv brings its worker, and what runs them not.

An image's torch is built for some architectures of GPUs. On another one it finds a GPU, loads the
model, and fails at the first caption; the catalog does not tell the architecture.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PublicImage:
    """An image that somebody else keeps."""

    name: str
    what: str
    """For a person."""
    cuda: str
    """The release of CUDA that a host's driver has to have at least."""
    unfit: re.Pattern[str]
    """The ids of GPUs that its torch is not built for."""

    def against(self, gpu_id: str) -> str:
        """Return why this GPU cannot run it; empty if it can."""
        return f"{self.what} does not run on it" if self.unfit.search(gpu_id) else ""


PYTORCH: Final = PublicImage(
    name="runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404",
    what="torch 2.8 for CUDA 12.8",
    cuda="12.8",
    # CUDA 12.8's builds begin at compute capability 7.5 (Turing) and are NVIDIA's only:
    # https://github.com/pytorch/pytorch/issues/145570
    unfit=re.compile(r"\b(?:V100|P100|P40|P4|GTX|TITAN V|AMD|MI\d{3}X?)\b", re.IGNORECASE),
)
"""RunPod's own release image with torch, which its API's own example names: hosts have it near."""

VLLM: Final = PublicImage(
    name="vllm/vllm-openai:v0.33.0",
    what="vLLM 0.33 for CUDA 13.0",
    cuda="13.0",
    # Its own Dockerfile builds for 7.5 and newer, and for CUDA 13.0 by default.
    unfit=PYTORCH.unfit,
)
"""vLLM's own image: `python3` 3.12 with venv and pip, no `python`, and an entrypoint that starts a
server. Where vLLM drives the model, a large GPU captions about twice as many images a second as in
transformers' batches (docs/models.md)."""
