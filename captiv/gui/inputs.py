"""The inputs of the page's form for numbers that a model of captiv's declares."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class NumberInput:
    """One number: what it is called, what it is for, and its bounds."""

    name: str
    title: str
    help: str
    whole: bool
    min: float | None
    max: float | None


def number_inputs(model: type[BaseModel]) -> Iterator[NumberInput]:
    """Yield an input for each field of a model whose fields are numbers or None.

    HTML has only closed bounds: a lower bound that is itself excluded is let through here and
    refused with the wish, and a number too large for JavaScript bounds nothing.
    """
    for name, shape in model.model_json_schema()["properties"].items():
        kind: dict[str, Any] = next(k for k in shape["anyOf"] if k["type"] != "null")
        yield NumberInput(
            name=name,
            title=shape["title"],
            help=shape["description"],
            whole=kind["type"] == "integer",
            min=kind.get("minimum", kind.get("exclusiveMinimum")),
            max=kind.get("maximum"),
        )
