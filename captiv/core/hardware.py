"""What GPUs can do, by their makers' data sheets, and how fast a model captions on them by that.

The arithmetic is that of a language model that reads a picture and writes some hundred tokens: each
step reads all weights and every image's cache once, and each picture costs its share of arithmetic
before. It was set against what people have measured (docs/cost.md): within a factor of two for
models of 8 billion parameters; of small ones nobody has published a figure. An engine that batches
continuously (vLLM) computes no row that has ended, and replays its steps from recorded graphs.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from captiv.catalog.engines import Engine


class Gpu(NamedTuple):
    """One type of GPU."""

    gb_s: float
    """Bandwidth of its memory, in GB a second."""
    tflops: float
    """Dense 16-bit arithmetic with 32-bit sums, in TFLOPS."""


GPUS: Final = {
    "RTX A2000": Gpu(288, 32),
    "RTX A4000": Gpu(448, 77),
    "RTX A4500": Gpu(640, 95),
    "RTX A5000": Gpu(768, 111),
    "RTX A6000": Gpu(768, 155),
    "RTX 2000 Ada": Gpu(224, 48),
    "RTX 4000 Ada": Gpu(360, 107),
    "RTX 4000 SFF Ada": Gpu(280, 77),
    "RTX 5000 Ada": Gpu(576, 261),
    "RTX 6000 Ada": Gpu(960, 364),
    "RTX 3070": Gpu(448, 41),
    "RTX 3080": Gpu(760, 60),
    "RTX 3080 Ti": Gpu(912, 68),
    "RTX 3090": Gpu(936, 71),
    "RTX 3090 Ti": Gpu(1008, 80),
    "RTX 4070 Ti": Gpu(504, 80),
    "RTX 4080": Gpu(717, 97),
    "RTX 4080 SUPER": Gpu(736, 104),
    "RTX 4090": Gpu(1008, 165),
    "RTX 5080": Gpu(960, 113),
    "RTX 5090": Gpu(1792, 210),
    "RTX PRO 4500": Gpu(896, 200),
    "RTX PRO 6000": Gpu(1597, 500),
    "T4": Gpu(320, 65),
    "V100": Gpu(900, 112),
    "L4": Gpu(300, 121),
    "A30": Gpu(933, 165),
    "A40": Gpu(696, 150),
    "L40": Gpu(864, 181),
    "L40S": Gpu(864, 362),
    "A100": Gpu(1935, 312),
    "H100 PCIe": Gpu(2000, 756),
    "H100": Gpu(3350, 989),
    "H200": Gpu(4800, 989),
    "B200": Gpu(8000, 2250),
    "B300": Gpu(8000, 2250),
    "MI300X": Gpu(5300, 1307),
}
"""By the words that tell a type from others. A part of a card (MIG) is not among them."""

_BANDWIDTH_HAD: Final = 0.75
_TFLOPS_HAD: Final = 0.5
"""Of the data sheets' figures: one stream on an A100 had 91 % of the bandwidth (vllm#24728), eight
on an RTX 4090 69 % of what these two give (fpgaminer/joycaption#11)."""
_STEP_S: Final = 0.025
"""A step of static batches takes so long whatever the GPU: Python and the launches in it."""
_USEFUL: Final = ((8, 0.64), (32, 0.50), (64, 0.44), (128, 0.41))
"""Which share of a static batch's steps is of use, by its size: rows that have ended are computed
until the longest has. Calculated for captions of 200 tokens of which 2 in 100 go on to 512."""
_LARGEST_BATCH: Final = 128
_GRAPH_STEP_S: Final = 0.01
"""The same of a continuous engine: assumed for its scheduler and the pictures that it prepares. One
stream of 8 billion parameters on an A100 took 7.6 ms a step in all (vllm#24728)."""

_MODEL_GB: Final = 17.5
"""What JoyCaption needs in 16 bit, by which the next figures are scaled to other models."""
_READ_GB: Final = 15.0
"""Its weights that each step reads."""
_CACHE_GB: Final = 0.117
"""Its cache of an image: 131,072 bytes a token, 889 tokens."""
_IMAGE_TFLOP: Final = 13.4
"""Its arithmetic before the first token of a caption."""
_ROOM_GB: Final = 0.175
"""The memory that each further image of a batch takes, as `core.fleet` reckons."""
_MEMORY_HAD: Final = 0.9


def gpu_of(name: str) -> Gpu | None:
    """Return what a GPU of this name can do; None where that is not known."""
    words = set(name.replace("-", " ").casefold().split())
    if "mig" in words:
        return None
    fitting = [known for known in GPUS if set(known.casefold().split()) <= words]
    return GPUS[max(fitting, key=lambda known: len(known.split()))] if fitting else None


@dataclass(frozen=True, slots=True)
class Load:
    """What a caption asks of a GPU."""

    gb: float
    """Memory that the model takes as it is loaded."""
    gb_16_bit: float
    """The same in 16 bit: 8 and 4 bit make the cache and the arithmetic no smaller."""
    tokens: int = 200
    """How long captions are."""
    batch: int | None = None
    """How many are captioned together at most; None as many as there is room for."""
    engine: Engine = "transformers"
    """What drives the model: transformers in static batches, vLLM continuously."""


def images_per_s(gpu: Gpu, vram_gb: float, load: Load) -> float | None:
    """Return how many images a GPU captions in a second; None if it has no room.

    Source: the limits of memory and arithmetic for a model of 8 billion parameters, 200 tokens.
    In static batches: RTX A5000 1.4, RTX 4090 1.8, A100 5.5, H100 8.2 images a second; continuously
    2.0, 2.7, 8.5 and 21.8 (docs/cost.md).
    """
    size = load.gb_16_bit / _MODEL_GB
    batch = int((vram_gb * _MEMORY_HAD - load.gb) / (_ROOM_GB * size))
    batch = min(max(batch, 1), load.batch or _LARGEST_BATCH, _LARGEST_BATCH)
    if vram_gb < load.gb:
        return None
    read_gb = _READ_GB * load.gb / _MODEL_GB + batch * _CACHE_GB * size
    read_s = read_gb / (gpu.gb_s * _BANDWIDTH_HAD)
    if load.engine == "vllm":
        written_s = load.tokens * max(read_s, _GRAPH_STEP_S) / batch
    else:
        written_s = load.tokens * max(read_s, _STEP_S) / batch / _useful(batch)
    return 1 / (written_s + _IMAGE_TFLOP * size / (gpu.tflops * _TFLOPS_HAD))


def _useful(batch: int) -> float:
    """Return which share of the steps is of use; one image wastes none."""
    before, share = 1, 1.0
    for size, useful in _USEFUL:
        if batch <= size:
            return share + (useful - share) * (batch - before) / (size - before)
        before, share = size, useful
    return share
