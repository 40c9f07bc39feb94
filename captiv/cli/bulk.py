"""A change of many captions on the command line: a bar while it is made, and an end at Ctrl-C.

A first Ctrl-C ends it between two chunks, so that captiv knows what was done; a second one at once.
"""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from captiv.cli import show
from captiv.cli.caption import places_in, short
from captiv.editing import Change, Kept, Place

if TYPE_CHECKING:
    from captiv.editing import Sidecars


class BulkChange:
    """One change of many captions, and what went wrong with some."""

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self.stopped = False
        """Whether a person wants it to end; what makes the changes asks for it."""

    def looked(self, found: Iterable[Change | Kept]) -> list[Change]:
        """Return the changes that could be made; why others cannot is a trouble."""
        return [each for each in map(self._made, found) if each is not None]

    def done(self, results: Iterable[Change | Kept], total: int, doing: str) -> int:
        """Show how far it is until it has ended; return how many changes were made."""
        made = 0
        with _bar(doing, total) as advance, self._stoppable():
            for result in results:
                made += self._made(result) is not None
                advance()
        return made

    def end(self, words: str, made: int, back: str = "captiv caption undo takes it back") -> None:
        """Say what was done.

        Raises:
            KeyboardInterrupt: a person ended it.
        """
        also = f"; {back}" if made and back else ""
        if self.stopped:
            show.say(f"captiv: interrupted: {words}{also}.")
            raise KeyboardInterrupt
        show.note(f"{words}{also}.")

    def _made(self, result: Change | Kept) -> Change | None:
        if isinstance(result, Change):
            if result.unsafe is not None:
                self.troubles.append(f"{show.visible(short(result.image))}: {result.unsafe}.")
            return result
        self.troubles.append(f"kept {show.visible(short(result.image))}: {result.reason}.")
        return None

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            if self.stopped:
                raise KeyboardInterrupt
            self.stopped = True

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def captioned(
    sidecars: "Sidecars", folder: Path, recursive: bool, troubles: list[str]
) -> Iterator[Place]:
    """Yield the images of a folder that have a sidecar."""
    return (place for place, there in places_in(sidecars, folder, recursive, troubles) if there)


@contextmanager
def _bar(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda: progress.advance(task)
