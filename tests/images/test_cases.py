"""The pictures that people reported, each as it should be shown."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import ImageStat

from captiv.errors import ImageError
from captiv.images.find import is_image_name
from captiv.images.prepare import decode

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
PICTURES = ("img", "tiff", "avif", "more", "heiconly", "openai1")


@dataclass(frozen=True)
class Case:
    """One file, what may become of it, and how it looks."""

    path: Path
    expected: frozenset[str]
    right: str

    @property
    def sizes(self) -> set[str]:
        return set(re.findall(r"\b\d+x\d+\b", self.right))

    @property
    def means(self) -> list[list[int]]:
        found = re.findall(r"mean (\d+),(\d+),(\d+)", self.right)
        return [[int(level) for level in mean] for mean in found]


def cases() -> Iterator[Case]:
    if not CASES.exists():
        return
    with (CASES / "expected.tsv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if row["file"].split("/")[0] in PICTURES:
                expected = frozenset(row["expected"].split("|"))
                yield Case(CASES / row["file"], expected, row["right"])


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.path.name)
def test_a_reported_picture_is_shown_right_or_refused_in_words(case: Case) -> None:
    if not is_image_name(case.path.name):
        assert "unseen-but-counted" in case.expected
        return
    try:
        shown = decode(case.path.read_bytes())
    except ImageError as error:
        assert {f"failed:{error.code}", "failed:*"} & case.expected, error.message
        assert re.fullmatch(r"(the file|the picture) [ -~]+", error.message)
        return
    assert "captioned" in case.expected
    assert not case.sizes or f"{shown.width}x{shown.height}" in case.sizes
    within = 6 if case.path.suffix == ".avif" else 2
    mean = ImageStat.Stat(shown).mean
    assert not case.means or any(
        all(abs(a - b) <= within for a, b in zip(mean, right, strict=True)) for right in case.means
    ), mean
