"""What is found before a run begins: of this machine, a worker, an account or a folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from captiv.errors import CaptivError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is and, unless all is well, what to do."""

    name: str
    status: Status
    detail: str
    todo: str = ""
    error: CaptivError | None = None
    """What a run ends with that needs this; None where it may begin."""

    @classmethod
    def failed(cls, name: str, error: CaptivError) -> Self:
        """Return that a run which needs this cannot begin, and why."""
        return cls(name, "fail", error.message, error.hint or "", error)


def first_error(findings: Iterable[Finding]) -> CaptivError | None:
    """Return what keeps a run from beginning, or None if nothing does."""
    return next((found.error for found in findings if found.error is not None), None)
