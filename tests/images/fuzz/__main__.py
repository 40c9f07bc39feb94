"""Try mutated images and print how they were met: scripts/fuzz_images."""

import argparse
import sys
from pathlib import Path

from .trial import GOOD, Limits, Trial
from .trials import Draw, kept, table, tried

_EVERY = 5000


def main() -> int:
    options = _options()
    draw = Draw(
        options.seed,
        options.count,
        options.first,
        options.processes,
        Limits(options.seconds, options.memory),
        tuple(options.folders),
    )
    met = 0

    def tell(trial: Trial) -> None:
        nonlocal met
        met += 1
        if met % _EVERY == 0:
            print(f"{met:,} of {draw.count:,}", file=sys.stderr, flush=True)
        if trial.ending not in GOOD:
            print(f"{kept(trial, draw, options.findings)}: {trial.ending}", flush=True)

    trials = tried(draw, tell)
    print(*table(trials), sep="\n")
    return int(any(trial.ending not in GOOD for trial in trials))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz_images", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="small images to mutate as well")
    parser.add_argument("--seed", default="0", help="which draw of mutants (%(default)s)")
    parser.add_argument("--count", type=int, default=200_000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--processes", type=int, default=2, help="at a time (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of CPU for each (%(default)s)")
    parser.add_argument("--memory", type=int, default=1024, help="MB for each (%(default)s)")
    parser.add_argument(
        "--findings",
        type=Path,
        default=Path("build/fuzz"),
        help="where mutants go that are not met as they should be (%(default)s)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
