"""The files that people reported, through the installed command.

`cases/expected.tsv` says what each should give. Where they are not there (they come with no clone)
nothing is tested of them.
"""

import csv
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from tests.support import Ended, Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Form = Literal["NFC", "NFD"]

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
PICTURES = ("img", "tiff", "avif", "more", "heiconly", "openai1")
PYTHONS = re.compile(
    r"Error\b|Exception|Traceback|errno|object|decoder|broken data|buffer|tile|None|[\[\]{}<>_]"
)
"""What no sentence for a person holds."""
WORKERS_LINE = re.compile(r"ts=\S+ level=[A-Z]+ \w+( \w+=\S+)*")

reported = pytest.mark.skipif(not CASES.exists(), reason="the reported files are not here")


def expected(folder: str) -> dict[str, frozenset[str]]:
    """Return what each file of a folder may give, by its name."""
    with (CASES / "expected.tsv").open(encoding="utf-8") as table:
        rows = [
            row for row in csv.DictReader(table, delimiter="\t") if row["file"].startswith(folder)
        ]
    return {row["file"].partition("/")[2]: frozenset(row["expected"].split("|")) for row in rows}


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@reported
def test_of_the_reported_pictures_nothing_but_captivs_own_words_reaches_a_person(
    home: Home,
) -> None:
    home.scripted()
    for folder in PICTURES:
        shutil.copytree(CASES / folder, home.pictures / folder)
    whole = (CASES / "tiff" / "planar16_lzw.tif").read_bytes()
    broken = home.pictures / "broken.tif"
    broken.write_bytes(whole[:2000] + bytes(2000) + whole[4000:])  # libtiff has much to say of it

    ended = home.generate("--sidecar-name", "full", "--json")

    assert ended.code == 1, ended
    assert len(ended.err.splitlines()) == 1, ended.err
    assert ended.err.startswith("The built-in model shapes knows drawn scenes")
    told = {line["path"]: line for line in ended.lines[:-1]}
    assert told.pop(str(broken))["reason"] == "the file is a damaged TIFF picture"
    unread = sum(ended.lines[-1]["unread"].values())
    for folder in PICTURES:
        for name, may in expected(folder).items():
            line = told.get(str(home.pictures / folder / name))
            if line is None:
                assert "unseen-but-counted" in may, name
                unread -= 1
            elif line["status"] == "captioned":
                assert "captioned" in may, name
            else:
                assert {f"failed:{line['code']}", "failed:*"} & may, line
                assert not PYTHONS.search(line["reason"]), line
    assert unread == 0
    damaged = {Path(p).name for p, line in told.items() if "damaged" in line.get("reason", "")}
    assert damaged <= {"jpg_double_soi.jpg"}, "damaged is only what is damaged"
    worker = (home.data / "log" / "worker.log").read_text().splitlines()
    assert worker
    assert [line for line in worker if not WORKERS_LINE.fullmatch(line)] == []


@reported
def test_what_lies_beside_the_reported_pictures_is_read_as_a_person_would(home: Home) -> None:
    home.scripted()
    shutil.copytree(CASES / "side", home.pictures, dirs_exist_ok=True)
    before = held(home.pictures)

    ended = home.generate()

    after = held(home.pictures)
    assert ended.code == 0, ended
    for name, may in expected("side").items():
        assert after[name] == before[name], "no picture changes"
        sidecar = Path(name).with_suffix(".txt").name
        own = [n for n in after if n.casefold() == sidecar.casefold()]
        if may == {"kept"}:
            assert [after[n] for n in own] == [before[n] for n in before if n in own], name
            assert len(own) == 1, f"a second sidecar of {name}"
        else:
            assert may == {"captioned"}
            assert own == [sidecar]
            assert after[sidecar].startswith(b"picture "), name
    named_otherwise = ("full.jpg.txt", "kohya.caption")
    assert [after[n] for n in named_otherwise] == [before[n] for n in named_otherwise]
    assert set(after) - set(before) == {"full.txt", "kohya.txt"}


@reported
def test_overwriting_writes_the_sidecar_that_is_there_however_it_is_spelt(home: Home) -> None:
    home.scripted()
    shutil.copytree(CASES / "side", home.pictures, dirs_exist_ok=True)
    before = set(held(home.pictures))

    ended = home.generate("--overwrite")

    after = held(home.pictures)
    assert ended.code == 0, ended
    assert set(after) - before == {"full.txt", "kohya.txt"}
    for name in ("UPPER.TXT", "bom.txt", "crlf.txt", "utf16.txt", "blank.txt", "bomonly.txt"):
        assert after[name].startswith(b"picture "), name


def accented(home: Home, *, picture: Form, sidecar: Form) -> tuple[Path, Path]:
    """Make a picture and its sidecar, whose accents are in these forms of Unicode."""
    (drawn,) = home.scripted().scenes(1, nested=False)
    image = home.pictures / unicodedata.normalize(picture, "café à Zürich.png")
    (home.pictures / drawn).rename(image)
    text = home.pictures / unicodedata.normalize(sidecar, "café à Zürich.txt")
    text.write_bytes("un café,\r\nvu d'en haut \n".encode())
    return image, text


def run(home: Home, *options: str) -> tuple[Ended, dict[str, bytes]]:
    ended = home.generate(*options)
    return ended, held(home.pictures)


@pytest.mark.parametrize(("picture", "sidecar"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_sidecar_with_its_accents_in_another_form_is_the_caption(
    home: Home, picture: Form, sidecar: Form
) -> None:
    image, text = accented(home, picture=picture, sidecar=sidecar)
    before = held(home.pictures)

    ended, after = run(home)

    assert ended.code == 0, ended
    assert "1 skipped" in ended.err
    assert after == before

    ended, after = run(home, "--overwrite")

    assert ended.code == 0, ended
    assert set(after) == {image.name, text.name}, "no second sidecar"
    assert after[text.name].startswith(b"picture ")
