"""What a labelled answer is."""

from dataclasses import dataclass
from typing import Literal

Label = Literal["good", "looping", "empty", "refusing", "cut off"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer with what a person would call it."""

    kind: str
    label: Label
    text: str
    finish: Literal["stop", "length"] = "stop"
    limited_by_user: bool = False
