"""Writes the table of docs/models.md from what the tests found out about each model.

    .venv/bin/python scripts/models_table.py              # runs the tests, then writes the table
    .venv/bin/python scripts/models_table.py RESULTS.xml  # from a run of pytest with
        -o junit_family=xunit1 --junitxml RESULTS.xml

The tests are those of tests/worker/test_conformance.py and whatever else records the properties
`checkpoint` (a variant of the catalog) and one or more of: `loads`, `single`, `worst_logit`,
`mixes`, `queue`, `dtype`. A property counts where its test has passed; a test that failed or
was not run leaves its cell to say so.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from captiv.catalog import FAMILIES, Family

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
WHICH = "conformance or quantised"
"""Which tests, by their names."""

NOT_RUN = "**not run**"
HEADINGS = (
    "model",
    "variants",
    "loads",
    "batch equals single",
    "prompts in one batch",
    "mixed queue",
    "modes",
    "precision",
    "tested how",
)


@dataclass
class Found:
    """What the tests that passed recorded about one checkpoint."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str) -> str | None:
        return next(iter(self.values.get(name, ())), None)


def main() -> None:
    if len(sys.argv) > 1:
        results = Path(sys.argv[1]).read_bytes()
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = run(Path(folder) / "results.xml")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(rows(found_in(results)))
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def run(file: Path) -> bytes:
    """Run the tests of all models and return their results; one that fails is told in the table."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not chaos", "tests/worker", "-k", WHICH]
    results = ["-o", "junit_family=xunit1", f"--junitxml={file}"]
    subprocess.run([*command, *results], cwd=ROOT, check=False)
    return file.read_bytes()


def found_in(results: bytes) -> dict[str, Found]:
    """Return what was recorded, by checkpoint."""
    found: dict[str, Found] = {}
    for case in ElementTree.fromstring(results).iter("testcase"):
        properties = [(p.get("name", ""), p.get("value", "")) for p in case.iter("property")]
        names = [value for name, value in properties if name == "checkpoint"]
        passed = not any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        for checkpoint in names if passed else ():
            values = found.setdefault(checkpoint, Found()).values
            for name, value in properties:
                values.setdefault(name, []).append(value)
    return found


def rows(found: dict[str, Found]) -> Iterator[str]:
    """Return the lines of the table: one row for each architecture of each family.

    Taggers are not in it: they have no prompt, precision or tokens, and a test file of their own.
    """
    yield line(HEADINGS)
    yield line(["---"] * len(HEADINGS))
    for family in (f for f in FAMILIES if f.recognised and f.tagging is None):
        for variants in alike(family):
            checkpoint = next((found[v] for v in variants if v in found), Found())
            yield line(row(family, variants, checkpoint))


def alike(family: Family) -> list[list[str]]:
    """Return the names of the family's variants, those of one architecture together."""
    groups: dict[object, list[str]] = {}
    for variant in family.variants:
        groups.setdefault(family.of(variant).architecture, []).append(variant.name)
    return list(groups.values())


def row(family: Family, variants: list[str], found: Found) -> list[str]:
    variant = family.variant(variants[0])
    assert variant is not None
    worst = found.first("worst_logit")
    single = f"captions equal; logits within {worst}" if worst else "captions equal"
    mixes = {"yes": "may differ", "no": "one text"}
    dtypes = sorted(set(found.values.get("dtype", ())))
    modes = [mode.name for mode in family.of(variant).modes]
    return [
        family.name,
        ", ".join(variants),
        "yes" if found.first("loads") else NOT_RUN,
        single if found.first("single") else NOT_RUN,
        mixes.get(found.first("mixes") or "", NOT_RUN),
        "right" if found.first("queue") else NOT_RUN,
        ", ".join(modes) if len(modes) < 9 else f"{len(modes)}: `captiv model show {family.name}`",
        ", ".join(["float32", *dtypes]) if found.first("loads") else NOT_RUN,
        "tiny random weights on a CPU" if found.values else NOT_RUN,
    ]


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
