"""Tiny taggers: one linear layer over the mean colour, with the real files' inputs and outputs.

What a tag scores follows from the mean colour as a person sees it (red, green, blue from 0 to 1),
whichever way the model is given its pixels: so a channel in the wrong place shows.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Kind = Literal["wd-tagger", "pixai-tagger", "camie-tagger"]
COUNTS: dict[Kind, int] = {"wd-tagger": 10_861, "pixai-tagger": 13_461, "camie-tagger": 70_527}
KINDS: tuple[Kind, ...] = tuple(COUNTS)
_CODES = {"general": "0", "artist": "1", "copyright": "3", "character": "4", "rating": "9"}


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag whose logit is `weights` times the mean colour, and `bias`."""

    name: str
    weights: tuple[float, float, float]
    bias: float
    category: str = "general"


TAGS = (
    Tag("blue_theme", (0, 0, 8), -4),
    Tag("^_^", (1.5, 0, 0), -1),
    Tag("warm_(color)", (2, 0, 0), -1),
    Tag("bob", (2, 0, 0), -1.2, "character"),
    Tag("alice_(series)", (6, 0, 0), -3, "character"),
    Tag("red_theme", (8, 0, 0), -4),
)
"""Of a red picture: 0.02, 0.62, 0.73, 0.69, 0.95, 0.98."""
RATING = Tag("sensitive", (10, 0, 0), -5, "rating")
"""0.99; PixAI has no ratings."""


def write_tagger(
    folder: Path,
    kind: Kind,
    tags: Sequence[Tag] = TAGS,
    *,
    batch: int | str = "batch",
    listed: int | None = None,
) -> Path:
    """Write a tagger's two files; `listed` is how many tags its list has, if not as many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = COUNTS[kind]
    known = [*tags, *([] if kind == "pixai-tagger" else [RATING])]
    model, names = _files(folder, kind)
    onnx.save(_model(kind, known, count, batch), str(model))
    fillers = [Tag(f"filler_{n}", (0, 0, 0), 0) for n in range(len(known), listed or count)]
    _write_names(names, kind, [*known, *fillers])
    return folder


def _files(folder: Path, kind: Kind) -> tuple[Path, Path]:
    if kind == "camie-tagger":
        return folder / "camie-tagger-v2.onnx", folder / "camie-tagger-v2-metadata.json"
    return folder / "model.onnx", folder / "selected_tags.csv"


def _write_names(file: Path, kind: Kind, tags: Sequence[Tag]) -> None:
    if kind == "camie-tagger":
        mapping = {
            "idx_to_tag": {str(n): tag.name for n, tag in enumerate(tags)},
            "tag_to_category": {tag.name: tag.category for tag in tags},
        }
        info = {"dataset_info": {"total_tags": len(tags), "tag_mapping": mapping}}
        file.write_text(json.dumps(info), encoding="utf-8")
        return
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        pixai = kind == "pixai-tagger"
        head = ["tag_id", "name", "category", "count"]
        writer.writerow([*(["id"] if pixai else []), *head, *(["ips"] if pixai else [])])
        for number, tag in enumerate(tags):
            row = [number, tag.name, _CODES[tag.category], 1000]
            writer.writerow([*([number] if pixai else []), *row, *(["[]"] if pixai else [])])


def _model(kind: Kind, tags: Sequence[Tag], count: int, batch: int | str) -> Any:
    weights: Any = np.zeros((3, count), np.float32)
    bias: Any = np.full(count, -12, np.float32)
    for number, tag in enumerate(tags):
        weights[:, number], bias[number] = tag.weights, tag.bias
    if kind == "wd-tagger":
        weights = weights[::-1] / 255
        shape: list[int | str] = [batch, 448, 448, 3]
    else:
        mean, spread = (
            (np.full(3, 0.5), np.full(3, 0.5))
            if kind == "pixai-tagger"
            else (np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225)))
        )
        bias = bias + mean @ weights
        weights = weights * spread[:, None]
        side = 448 if kind == "pixai-tagger" else 512
        shape = [batch, 3, side, side]
    axes = [1, 2] if kind == "wd-tagger" else [2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["colour"], axes=axes, keepdims=0),
        helper.make_node("Gemm", ["colour", "weights", "bias"], ["scores"]),
        helper.make_node("Sigmoid", ["scores"], ["shares"]),
        helper.make_node("Neg", ["scores"], ["coarse"]),
    ]
    outputs = {
        "wd-tagger": [("shares", count)],
        "pixai-tagger": [("colour", 3), ("scores", count), ("shares", count)],
        "camie-tagger": [("coarse", count), ("scores", count)],
    }[kind]
    renamed = {
        "wd-tagger": {"shares": "output"},
        "pixai-tagger": {"colour": "embedding", "scores": "logits", "shares": "prediction"},
        "camie-tagger": {"coarse": "initial_predictions", "scores": "refined_predictions"},
    }[kind]
    for node in nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    values = {"weights": weights, "bias": bias}
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(renamed[name], TensorProto.FLOAT, [batch, width])
            for name, width in outputs
        ],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
