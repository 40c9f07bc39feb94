"""The table of docs/models.md: every model is in it, and it claims only what a test has shown."""

from captiv.catalog import FAMILIES
from scripts.models_table import BEGIN, END, NOT_RUN, PAGE, found_in, rows

RESULTS = b"""<testsuites><testsuite>
<testcase name="loads"><properties><property name="checkpoint" value="git-large"/>
<property name="loads" value="yes"/></properties></testcase>
<testcase name="single"><properties><property name="checkpoint" value="git-large"/>
<property name="single" value="yes"/></properties><failure message="differs"/></testcase>
</testsuite></testsuites>"""


def test_every_variant_of_the_catalog_has_its_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition(BEGIN)[2].partition(END)[0]

    listed = [row.split(" | ")[1].split(", ") for row in table.splitlines() if row.startswith("| ")]

    named = {name for names in listed for name in names}
    sentences = [f for f in FAMILIES if f.recognised and f.tagging is None]
    assert named >= {v.name for f in sentences for v in f.variants}
    section = page.partition("## Booru taggers")[2].partition("\n## ")[0]
    for family in (f for f in FAMILIES if f.tagging is not None):
        assert all(f"`{variant.name}`" in section for variant in family.variants)


def test_what_failed_or_was_not_run_is_said() -> None:
    lines = list(rows(found_in(RESULTS)))

    git = next(line for line in lines if line.startswith("| git |")).split(" | ")
    assert (git[2], git[3], git[4]) == ("yes", NOT_RUN, NOT_RUN)
    blip = next(line for line in lines if line.startswith("| blip |"))
    assert blip.count(NOT_RUN) == 6
