"""Ends a row that loops long before the limit of new tokens, which its whole batch waits for.

A model that loops seldom finds out again: without this the batch decodes to the limit, for an
answer that captiv refuses. The detector is the one that captiv judges answers with
(`captiv.core.loops`), and it reads what the answer would be, so that a row that is ended here is
never taken for a caption.

A loop counts when two checks in a row find one. One isn't enough: a text that a picture shows may
be quoted several times over, and only the closing quotation mark tells it from a loop. Of the
captions of the frozen sets (tests/core/answer_set), cut every 32 tokens or so, one check takes 2 in
1,417 for loops, two in a row none.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from captiv.core.loops import loop_in
from captiv_worker.engines.decoding import until_end

EVERY = 32
"""New tokens between two checks."""

_REPEATED = EVERY // 2
"""So many runs of three, among those of the last `EVERY` tokens, are old ones in a row that loops.

The detector takes some milliseconds a row, this count a fiftieth of that. Of the frozen sets it
lets every check through that finds a loop for the second time, and a fifth of the captions'.
"""

Written = Callable[[int, list[int]], str]
"""Returns the answer of a row, told its number and its tokens so far, if it ended there."""


class LoopEnd:
    """A stopping criterion: ends the rows that loop. One instance serves one generate().

    It does not serve beam search, whose rows are beams, which change places.
    """

    def __init__(self, written: Written, ends: Collection[int], echoed: int) -> None:
        self._written = written
        self._ends = ends
        self._echoed = echoed
        self._suspects: frozenset[int] = frozenset()
        self._ended: dict[int, int] = {}
        """How many new tokens a row had when it was ended."""

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Return for each row whether it ends now: a tensor of bools."""
        done = input_ids.new_zeros(input_ids.shape[0]).bool()
        count = input_ids.shape[1] - self._echoed
        if count >= EVERY and count % EVERY == 0:
            for number in self._found(input_ids.tolist()):
                self._ended[number] = count
                done[number] = True
        return done

    def trimmed(self, rows: Sequence[list[int]]) -> list[list[int]]:
        """Return the rows without what fills up those that were ended here."""
        return [
            row[: self._echoed + self._ended[number]] if number in self._ended else row
            for number, row in enumerate(rows)
        ]

    def _found(self, rows: Sequence[list[int]]) -> frozenset[int]:
        """Return the rows that looped at the last check too."""
        looping = frozenset(
            number
            for number, row in enumerate(rows)
            if number not in self._ended and self._loops(number, row)
        )
        found = looping & self._suspects
        self._suspects = looping
        return found

    def _loops(self, number: int, row: list[int]) -> bool:
        new, finish = until_end(row[self._echoed :], self._ends)
        if finish == "stop" or not _repeats(new):
            return False
        return loop_in(self._written(number, row)) is not None


def _repeats(new: Sequence[int]) -> bool:
    """Return whether the last tokens have been written before, so that the text is worth a look."""
    threes = list(zip(new, new[1:], new[2:], strict=False))
    seen = set(threes[:-EVERY])
    repeated = 0
    for three in threes[-EVERY:]:
        repeated += three in seen
        seen.add(three)
    return repeated >= _REPEATED
