"""One line of what `captiv doctor` says."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is and, unless all is well, what to do."""

    name: str
    status: Status
    detail: str
    todo: str = ""
