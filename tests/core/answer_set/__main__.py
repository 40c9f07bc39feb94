"""Prints how the guard judges the labelled answers: `python -m tests.core.answer_set`."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable

from captiv.core.answers import Asked, judge

from . import FIFTH, FIRST, FOURTH, SECOND, SEVENTH, SIXTH, THIRD, Kind, Sample, samples

SETS: dict[str, tuple[Kind | Sample, ...]] = {
    "first": FIRST,
    "second": SECOND,
    "third": THIRD,
    "fourth": FOURTH,
    "fifth": FIFTH,
    "sixth": SIXTH,
    "seventh": SEVENTH,
}


class Score:
    """Counts verdicts; a positive is an answer that is no caption."""

    def __init__(self, answers: Iterable[Sample]) -> None:
        self.kinds: dict[str, Counter[str]] = {}
        self.wrong: list[Sample] = []
        self.labels: dict[str, str] = {}
        for answer in answers:
            verdict = judge(
                answer.text,
                answer.finish,
                limited_by_user=answer.limited_by_user,
                asked=Asked(answer.prompt, answer.system),
            )
            said = "good" if verdict is None else str(verdict.fault)
            self.kinds.setdefault(answer.kind, Counter())[said] += 1
            self.labels[answer.kind] = answer.label
            if (said == "good") != (answer.label == "good"):
                self.wrong.append(answer)

    def _sum(self, *, good: bool, refused: bool) -> int:
        return sum(
            n
            for kind, said in self.kinds.items()
            for verdict, n in said.items()
            if (self.labels[kind] == "good") == good and (verdict != "good") == refused
        )

    @property
    def good(self) -> int:
        return self._sum(good=True, refused=False) + self.good_refused

    @property
    def good_refused(self) -> int:
        return self._sum(good=True, refused=True)

    @property
    def precision(self) -> float:
        found = self._sum(good=False, refused=True)
        return found / (found + self.good_refused)

    @property
    def recall(self) -> float:
        found = self._sum(good=False, refused=True)
        return found / (found + self._sum(good=False, refused=False))

    def lines(self) -> Iterable[str]:
        """The score as a table in Markdown."""
        yield "| kind | label | answers | judged right | for the right reason |"
        yield "| --- | --- | ---: | ---: | ---: |"
        for kind, said in self.kinds.items():
            label, total = self.labels[kind], said.total()
            right = said["good"] if label == "good" else total - said["good"]
            yield f"| {kind} | {label} | {total} | {right} | {said[label]} |"
        yield ""
        yield (
            f"precision {self.precision:.4f}, recall {self.recall:.4f}, "
            f"good ones refused {self.good_refused} of {self.good}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", type=int, default=0, help="so many of the wrong verdicts")
    asked = parser.parse_args()
    for name, kinds in SETS.items():
        score = Score(samples(kinds, name))
        sys.stdout.write(f"\n## {name}\n\n" + "\n".join(score.lines()) + "\n")
        for answer in score.wrong[: asked.show]:
            text = (
                answer.text
                if len(answer.text) < 400
                else answer.text[:200] + " [...] " + answer.text[-200:]
            )
            sys.stdout.write(f"{answer.kind} ({answer.label}): {text!r}\n")


if __name__ == "__main__":
    main()
