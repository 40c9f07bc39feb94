"""Decode steps where some rows loop: static batches, with and without their early end; continuous.

No model: rows of numbered words stand for what one would write, and the engine's own criterion
reads them step by step. A batch takes as many steps as its longest row has tokens. A continuous
engine of the same size, as vLLM is, gives a place to the next row as soon as one has ended, and
ends no loop early. A step costs the same for all three: the share of steps is that of the time.
"""

import argparse
import heapq
import random
import time

import torch
from captiv_worker.engines.looping import LoopEnd

_END = 0
_WORDS = 3000
"""So many different words may stand in a caption."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.02, help="of the rows that loop")
    parser.add_argument("--limit", type=int, default=512, help="new tokens of a row that loops")
    parser.add_argument("--tokens", type=float, default=170, help="mean length of a caption")
    parser.add_argument("--spread", type=float, default=45, help="standard deviation of that")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--orders", type=int, default=20, help="of which the mean is taken")
    given = parser.parse_args()
    dice = random.Random(5)
    looping = round(given.share * given.rows)
    rows = [_loop(dice, given.limit) for _ in range(looping)]
    lengths = [dice.gauss(given.tokens, given.spread) for _ in range(given.rows - looping)]
    rows += [_caption(dice, min(max(20, round(length)), given.limit)) for length in lengths]
    useful = sum(map(len, rows[looping:]))
    print(f"{given.rows} rows, {looping} of them loop; useful: slots with a token of a caption")
    print(
        "batch  steps  useful  with early end  useful  share of steps  CPU of the criterion a step"
        "  continuous  useful  share of steps"
    )
    for size in given.batch:
        plain = plain_slots = early = early_slots = stream = 0
        began_s = time.process_time()
        for _ in range(given.orders):
            dice.shuffle(rows)
            stream += _continuous([len(row) for row in rows], size)
            for batch in (rows[at : at + size] for at in range(0, len(rows), size)):
                longest, steps = max(map(len, batch)), _steps(batch)
                plain, plain_slots = plain + longest, plain_slots + longest * len(batch)
                early, early_slots = early + steps, early_slots + steps * len(batch)
        each_ms = (time.process_time() - began_s) / early * 1000
        slots = (plain_slots, early_slots, stream * size)
        shares = [given.orders * useful / each for each in slots]
        print(
            f"{size:5} {plain / given.orders:6.0f} {shares[0]:7.0%} {early / given.orders:15.0f} "
            f"{shares[1]:7.0%} {early / plain:15.2f} {each_ms:13.2f} ms"
            f"{stream / given.orders:28.0f} {shares[2]:7.0%} {stream / plain:15.2f}"
        )


def _caption(dice: random.Random, tokens: int) -> list[int]:
    """Return words as rare and as frequent as in a text (Zipf), and the end."""
    return [1 + int(_WORDS ** dice.random()) for _ in range(tokens - 1)] + [_END]


def _loop(dice: random.Random, limit: int) -> list[int]:
    """Return a beginning, and a phrase or a sentence again and again until the limit."""
    begun = _caption(dice, dice.randint(20, 200))[:-1]
    phrase = _caption(dice, dice.randint(4, 20))[:-1]
    return [*begun, *phrase * limit][:limit]


def _steps(batch: list[list[int]]) -> int:
    """Return how many steps the batch takes with the criterion."""
    longest = max(map(len, batch))
    ids = torch.tensor([row + [_END] * (longest - len(row)) for row in batch])
    loops = LoopEnd(lambda _, row: " ".join(map(_word, row)), [_END], 0)
    over = torch.zeros(len(batch), dtype=torch.bool)
    for count in range(1, longest + 1):
        over |= loops(ids[:, :count], None) | (ids[:, count - 1] == _END)
        if bool(over.all()):
            return count
    return longest


def _continuous(lengths: list[int], places: int) -> int:
    """Return after how many steps the last row has ended, each in the first place that is free."""
    free = [0] * places
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def _word(number: int) -> str:
    """Return a word of letters alone, another one for each number."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


if __name__ == "__main__":
    main()
