"""Drives booru taggers by onnxruntime, on the CPU: one score a tag, and no torch.

Each model sees a picture as its author's own code gives it one:

- WD (SmilingWolf's demonstration): white around it to a square, bicubic to the model's size, BGR,
  0 to 255, channels last. The file's output are probabilities.
- PixAI (its handler): squashed to a square, bilinear, -1 to 1, channels first. The converted file's
  output `prediction` are probabilities.
- Camie v2 (its own tool): the long edge to the model's size by Lanczos, grey around it to a square,
  normalised as for ImageNet, channels first. The second output are the refined scores, as logits.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from captiv.catalog.tagging import CAMIE, PIXAI, WD
from captiv.errors import HostUnfit, ModelError
from captiv.wire import Tagging
from captiv_worker.engines.checkpoint import read_part
from captiv_worker.engines.labels import Labels, limits, read_labels, written
from captiv_worker.engines.runtime import cores, has_no_memory, threads
from captiv_worker.engines.spec import (
    Answer,
    EngineItem,
    EngineSpec,
    Kin,
    Loaded,
    Outcome,
    OutOfMemory,
    Progress,
)

_BATCH = 4
"""On a CPU the model's own work is all of the time, and a batch only adds waiting."""
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")
_GREY = (124, 116, 104)
"""ImageNet's mean, of which nothing is left when it is normalised."""
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Sight:
    """How a model sees pictures, and where its scores are."""

    size_px: int
    channels_last: bool
    pixels: Callable[[Any, Image.Image, int], Any]
    output: str | int
    """The name or the place of the output that has the scores."""
    logits: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """What it is given for one picture."""
        side = self.size_px
        return (side, side, 3) if self.channels_last else (3, side, side)


class TaggerEngine:
    """A tagger: the model in one ONNX file, its tags in another."""

    def __init__(self, spec: EngineSpec) -> None:
        assert spec.architecture is not None, "a tagger is of the catalog"
        self._spec = spec
        model, labels = (Path(spec.path) / name for name in spec.architecture.files)
        self._file, self._labels_file = model, labels
        self._sight = SIGHTS[spec.architecture.model_type]
        self._numpy: Any = None
        self._session: Any = None
        self._labels = Labels((), ())
        self._limits: dict[str, Any] = {}
        self._output = ""

    def load(self, progress: Progress) -> Loaded:
        """Read the model and its tags.

        Raises:
            ModelError: onnxruntime is missing, or the files are damaged or of another model.
            HostUnfit: another device than the CPU is asked for.
        """
        progress("reading")
        if self._spec.device not in ("auto", "cpu"):
            raise HostUnfit(
                f"Taggers run on the CPU here, not on {self._spec.device}.",
                hint="Leave --device out, or use --device cpu.",
            )
        self._numpy, onnxruntime = _import()
        self._labels = read_labels(self._labels_file)
        self._session = read_part("model", self._file, lambda: self._opened(onnxruntime))
        self._check_input()
        self._output = self._found_output()
        return Loaded("cpu", "float32", self._most, version=onnxruntime.__version__)

    def kin(self, item: EngineItem) -> Hashable:
        """Return nothing: any pictures may share a batch."""
        return Kin(None)

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Return the tags of each picture, the surest first."""
        scores = self._scores([item.image for item in items])
        return [
            self._answer(row, item.tagging or Tagging())
            for row, item in zip(scores, items, strict=True)
        ]

    @property
    def _most(self) -> int:
        """How many pictures it takes at once."""
        return self._fixed or self._spec.max_batch or _BATCH

    @property
    def _fixed(self) -> int | None:
        """How many pictures it takes, no more and no fewer; None where any number will do."""
        count = self._session.get_inputs()[0].shape[0]
        return count if isinstance(count, int) else None

    def _opened(self, onnxruntime: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads(cores(), self._spec.shares)
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            str(self._file), options, providers=["CPUExecutionProvider"]
        )

    def _found_output(self) -> str:
        """Return the name of the output that has the scores."""
        names, wanted = [output.name for output in self._session.get_outputs()], self._sight.output
        if isinstance(wanted, int) and wanted < len(names):
            return str(names[wanted])
        if isinstance(wanted, str) and wanted in names:
            return wanted
        raise self._other(f"its outputs are {', '.join(names)}")

    def _check_input(self) -> None:
        """Refuse a file that takes other pictures than this model's: it would tag rubbish."""
        shape = self._session.get_inputs()[0].shape
        fits = len(shape) == 4 and all(
            not isinstance(has, int) or has == gets
            for has, gets in zip(shape[1:], self._sight.shape, strict=True)
        )
        if not fits:
            raise self._other(f"it takes pictures as {shape}, not {list(self._sight.shape)}")

    def _other(self, why: str) -> ModelError:
        return ModelError(
            f"{self._file} is not of the tagger {self._spec.model}: {why}.",
            hint="captiv model list names the taggers that captiv knows.",
        )

    def _scores(self, images: Sequence[Image.Image]) -> Any:
        """Return one row an image: a probability for each tag."""
        np, sight = self._numpy, self._sight
        pixels = np.stack([sight.pixels(np, image, sight.size_px) for image in images])
        if self._fixed is not None:
            blanks = [(0, self._fixed - len(images)), *[(0, 0)] * 3]
            pixels = np.pad(pixels, blanks)
        taken = self._session.get_inputs()[0].name
        try:
            rows = self._session.run([self._output], {taken: pixels})[0][: len(images)]
        except Exception as error:  # onnxruntime has a class for each code, and no common one
            if has_no_memory(error) or any(mark in str(error) for mark in _NO_MEMORY):
                raise OutOfMemory(str(error).partition("\n")[0][:200]) from error
            raise
        if rows.shape != (len(images), len(self._labels.names)):
            raise ModelError(
                f"{self._file} scores {rows.shape[-1]} tags, and {self._labels_file.name} lists "
                f"{len(self._labels.names)}.",
                hint="The two files are not of one model: fetch both again.",
            )
        return 1 / (1 + np.exp(-rows)) if sight.logits else rows

    def _answer(self, row: Any, tagging: Tagging) -> Outcome:
        np = self._numpy
        chosen = np.flatnonzero(row > self._limits_of(tagging))
        ordered = chosen[np.argsort(-row[chosen], kind="stable")]
        names = [self._labels.names[number] for number in ordered]
        return Answer(written(names, tagging), tokens=len(names))

    def _limits_of(self, tagging: Tagging) -> Any:
        """Return what each score has to exceed; the last that was asked for is kept."""
        key = tagging.model_dump_json()
        if key not in self._limits:
            self._limits = {key: self._numpy.asarray(limits(self._labels, tagging), "float32")}
        return self._limits[key]


def _import() -> tuple[Any, Any]:
    try:
        import numpy
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "A tagger needs onnxruntime, which is not installed.",
            hint="Install it: pip install 'captiv[tagger]'",
        ) from error
    return numpy, onnxruntime


def _padded(np: Any, image: Image.Image, size_px: int) -> Any:
    """Return the picture as WD sees it."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    if side != size_px:
        square = square.resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square, dtype=np.float32)[:, :, ::-1])


def _squashed(np: Any, image: Image.Image, size_px: int) -> Any:
    """Return the picture as PixAI sees it."""
    square = image.resize((size_px, size_px), Image.Resampling.BILINEAR)
    return _normalised(np, square, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _fitted(np: Any, image: Image.Image, size_px: int) -> Any:
    """Return the picture as Camie sees it."""
    scale = size_px / max(image.size)
    width, height = (max(1, int(edge * scale)) for edge in image.size)
    square = Image.new("RGB", (size_px, size_px), _GREY)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(small, ((size_px - width) // 2, (size_px - height) // 2))
    return _normalised(np, square, _MEAN, _SPREAD)


def _normalised(np: Any, image: Image.Image, mean: Sequence[float], spread: Sequence[float]) -> Any:
    shares = np.asarray(image, dtype=np.float32) / 255
    scaled = (shares - np.asarray(mean, np.float32)) / np.asarray(spread, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


SIGHTS = {
    WD: Sight(448, True, _padded, 0),
    PIXAI: Sight(448, False, _squashed, "prediction"),
    CAMIE: Sight(512, False, _fitted, 1, logits=True),
}
"""By what stands for the checkpoint's `model_type`."""
