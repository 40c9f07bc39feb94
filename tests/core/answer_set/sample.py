"""What a labelled answer is."""

from dataclasses import dataclass, field
from typing import Literal

Label = Literal[
    "good",
    "looping",
    "empty",
    "refusing",
    "cut off",
    "echoing",
    "speaking roles",
    "asking",
    "unfinished",
]


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer with what a person would call it."""

    kind: str
    label: Label
    text: str
    finish: Literal["stop", "length"] = "stop"
    limited_by_user: bool = False
    prompt: str = field(default="", repr=False)
    """What was asked; `repr` leaves it out, since the earlier sets are frozen by theirs."""
    system: str = field(default="", repr=False)
