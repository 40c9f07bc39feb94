"""What a run tells whoever watches it. Called on the event loop; must return at once."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from captiv.core.jobs import Counts, Run
from captiv.core.phase import Phase


class LaneView(NamedTuple):
    """One of several workers that serve the same runs."""

    name: str
    phase: Phase | None
    """What it waits for; None while it captions."""
    captioned: int
    over: bool = False
    """Whether it has ended."""


class Reporter(Protocol):
    """Is told everything that a person may want to see."""

    def opened(self, run: Run, *, resumed: bool) -> None:
        """A run begins, or goes on."""

    def phase(self, phase: Phase | None, *, worker: str | None = None) -> None:
        """What is being waited for; None when captions come. Of several workers, by which."""

    def lanes(self, views: Sequence[LaneView]) -> None:
        """How far each worker is, where there are several; those that ended are among them."""

    def warned(self, message: str) -> None:
        """Something that a person should know now."""

    def priced(self, message: str) -> None:
        """What is about to be rented, for how long and for how much money."""

    def paid(self, dollars: Decimal) -> None:
        """What the run's pods have cost so far, in dollars."""

    def counted(self, run: Run) -> None:
        """The run's counters moved."""

    def captioned(self, path: str, text: str) -> None:
        """A caption is where it was asked to be."""

    def failed(self, path: str, code: str, reason: str) -> None:
        """An image has no caption, and why."""

    def kept(self, path: str) -> None:
        """A sidecar was not captiv's to replace."""

    def unwritten(self, path: str, reason: str) -> None:
        """A caption is safe in the store, but its file cannot be written."""

    def cut_short(self, path: str) -> None:
        """A caption has several lines, of which some trainers read the first one."""


class Silence:
    """A reporter that tells nobody."""

    def opened(self, run: Run, *, resumed: bool) -> None: ...  # noqa: D102
    def phase(self, phase: Phase | None, *, worker: str | None = None) -> None: ...  # noqa: D102
    def lanes(self, views: Sequence[LaneView]) -> None: ...  # noqa: D102
    def warned(self, message: str) -> None: ...  # noqa: D102
    def priced(self, message: str) -> None: ...  # noqa: D102
    def paid(self, dollars: Decimal) -> None: ...  # noqa: D102
    def counted(self, run: Run) -> None: ...  # noqa: D102
    def captioned(self, path: str, text: str) -> None: ...  # noqa: D102
    def failed(self, path: str, code: str, reason: str) -> None: ...  # noqa: D102
    def kept(self, path: str) -> None: ...  # noqa: D102
    def unwritten(self, path: str, reason: str) -> None: ...  # noqa: D102
    def cut_short(self, path: str) -> None: ...  # noqa: D102


FIRST_LINE_ONLY = (
    "Captions have several lines. Trainers such as kohya's sd-scripts read only the first line of "
    "a sidecar: --one-line makes one line of each."
)
"""Said once in a command, when the first of them comes."""


def counts_line(counts: Counts) -> str:
    """Return the counters as one plain line."""
    parts = [f"{counts.done} done", f"{counts.pending + counts.running} to do"]
    if counts.captioned:
        parts.append(f"{counts.captioned} to write")
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    return ", ".join(parts)
