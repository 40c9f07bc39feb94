"""Where captions go and what becomes of what is there: options of the output, through real runs."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from captiv.dispatch.events import FIRST_LINE_ONLY
from tests.editing.conftest import sealed
from tests.support import Ended, Home, until

pytestmark = pytest.mark.timeout(300)


@pytest.mark.slow
def test_answers_of_several_lines_are_warned_of_once_and_counted(home: Home) -> None:
    home.scripted(several_lines=True).scenes(3, nested=False)

    ended = home.generate()
    as_json = home.generate("--overwrite", "--json")

    assert ended.code == 0, ended
    assert ended.err.count(FIRST_LINE_ONLY) == 1
    assert "3 captions have several lines, of which some trainers read only the first" in ended.err
    assert as_json.lines[-1]["several_lines"] == 3
    log = (home.data / "log" / "captiv.log").read_text()
    assert log.count("answers of several lines") == 2, "once in each command"
    assert all(len(text.splitlines()) == 3 for text in home.captions().values())


@pytest.mark.slow
def test_one_line_makes_a_line_of_each_and_is_a_setting_too(home: Home) -> None:
    home.scripted(several_lines=True).scenes(2, nested=False)

    ended = home.generate("--one-line", "--json")
    captions = home.captions()
    home.run("config", "set", "output.one_line", "true")
    by_setting = home.generate("--overwrite", "--json")
    against_it = home.generate("--overwrite", "--no-one-line", "--json")

    assert ended.code == 0, ended
    assert len(captions) == 2
    assert all(", mostly " in text and "\n" not in text for text in captions.values())
    assert [e.lines[-1]["several_lines"] for e in (ended, by_setting, against_it)] == [0, 0, 2]
    assert FIRST_LINE_ONLY not in ended.err
    told = {line["path"]: line["caption"] for line in ended.lines if line["status"] == "captioned"}
    assert told == {
        str(home.pictures / Path(n).with_suffix(".png")): t for n, t in captions.items()
    }


KILLED_AT_ITS_NAME = """
import os, signal, sys

def killed(step, kills_first):
    def at(source, target, **kw):
        if not str(target).endswith(".txt"):
            return step(source, target, **kw)
        if not kills_first:
            step(source, target, **kw)
        os.kill(os.getpid(), signal.SIGKILL)
    return at

first = sys.argv[1] == "before"
os.replace, os.link = killed(os.replace, first), killed(os.link, first)
sys.argv[1:] = sys.argv[2:]
from captiv.cli import main
sys.exit(main())
"""
"""A captiv that kills itself just before or just after its first sidecar has its name."""


def killed_at_its_name(home: Home, when: str, *arguments: str) -> Ended:
    command = ["caption", "generate", "--model", "shapes", "-r", str(home.pictures), *arguments]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_ITS_NAME, when, *command],
        capture_output=True,
        text=True,
        timeout=120,
        env=home.env,
        cwd=home.pictures,
        check=False,
    )
    until(lambda: not home.workers(), "the worker ended")
    return Ended(done.returncode, done.stdout, done.stderr)


def pictured(home: Home, tags: str | None = "1girl, solo\n") -> Path:
    """Draw one picture, with these tags; return its sidecar."""
    home.scenes(1, nested=False)
    sidecar = next(home.pictures.glob("*.png")).with_suffix(".txt")
    if tags is not None:
        sidecar.write_text(tags)
    return sidecar


@pytest.mark.slow
def test_captions_are_added_to_those_that_are_there_and_only_once(home: Home) -> None:
    home.scripted().scenes(3, nested=False)
    tagged, other, bare = sorted(home.pictures.glob("*.png"))
    tagged.with_suffix(".txt").write_text("1girl, solo\n")
    other.with_suffix(".txt").write_text("A bench.")

    dry = home.generate("--add", "after", "--dry-run")
    ended = home.generate("--add", "after", "--json")
    captions = home.captions()
    again = home.generate("--add", "after")
    dry_again = home.generate("--add", "after", "--dry-run")

    assert (ended.code, again.code) == (0, 0), (ended, again)
    assert "images: 3\n" in dry.out
    told = {line["path"]: line["caption"] for line in ended.lines if line["status"] == "captioned"}
    plain = told[str(bare)]
    assert plain.startswith("picture ")
    tags, bench = (captions[path.with_suffix(".txt").name] for path in (tagged, other))
    assert tags.startswith("1girl, solo, picture ")
    assert tags.endswith("\n")
    assert bench.startswith("A bench. picture ")
    assert told == {str(tagged): tags, str(other): bench, str(bare): plain}
    assert home.captions() == captions
    assert "3 skipped" in again.err
    assert "images: 0\nskipped: 3\n" in dry_again.out
    assert len(home.worker_keys()) == 3

    undone = home.run("caption", "undo", str(tagged))
    assert undone.code == 0, undone
    assert tagged.with_suffix(".txt").read_text() == "1girl, solo\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("tags", ["1girl, solo\n", None], ids=["tags", "nothing"])
def test_a_kill_at_the_write_adds_nothing_twice(home: Home, when: str, tags: str | None) -> None:
    sidecar = pictured(home.scripted(), tags)

    killed = killed_at_its_name(home, when, "--add", "before")
    between = sidecar.read_text() if sidecar.exists() else None
    ended = home.run("queue", "retry", "--json")
    last = home.generate("--add", "before", "--json")

    assert killed.code == -signal.SIGKILL, killed
    assert (ended.code, last.code) == (0, 0), (ended, last)
    text = sidecar.read_text()
    assert between == (tags if when == "before" else text)
    assert text.count("picture ") == 1
    assert text.endswith(", 1girl, solo\n" if tags else "")
    assert ended.lines[-1]["captioned"] == 1
    assert last.lines[-1]["skipped"] == 1
    assert len(home.worker_keys()) == 1, "the caption was kept before the kill"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_person_wrote_after_the_kill_stays(home: Home, when: str) -> None:
    sidecar = pictured(home.scripted())
    killed_at_its_name(home, when, "--add", "after")
    sidecar.write_text("my own words")

    ended = home.generate("--add", "after", "--json")

    assert ended.code == 0, ended
    assert sidecar.read_text() == "my own words"
    assert {"path": str(sidecar.with_suffix(".png")), "status": "kept"} in ended.lines
    assert ended.lines[-1]["kept"] == 1


@pytest.mark.slow
def test_what_cannot_be_added_is_refused_and_says_why(home: Home) -> None:
    sidecar = pictured(home.scripted())

    both = home.generate("--add", "after", "--overwrite")
    nowhere = home.generate("--add", "after", "--no-save")
    beside = home.generate("--add", "beside")

    assert [e.code for e in (both, nowhere, beside)] == [2, 2, 2]
    assert "--add keeps the captions that are there, and --overwrite replaces them." in both.err
    assert "--no-save writes none" in nowhere.err
    assert "--add is before or after, not 'beside'." in beside.err
    sidecar.write_bytes(b"\xff\xfe\x00\xd8a")
    broken = home.generate("--add", "after", "--json")
    assert broken.code == 1, broken
    assert broken.lines[0]["code"] == "sidecar_unreadable"
    assert home.worker_keys() == []
    sidecar.write_text("mended")
    mended = home.generate("--add", "after")
    assert mended.code == 0, mended
    assert sidecar.read_text().startswith("mended, picture ")


def text_files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.txt")}


@pytest.mark.slow
def test_sidecars_of_another_folder_mirror_the_tree_and_are_the_ones_that_count(
    home: Home,
) -> None:
    names = home.scripted().scenes(4)
    out = home.folder / "out"
    first, *_ = sorted(home.pictures.rglob("*.png"))
    first.with_suffix(".txt").write_text("not looked at")

    dry = home.generate("--output-dir", str(out), "--dry-run")
    made_by_dry = out.exists()
    ended = home.generate("--output-dir", str(out))
    again = home.generate("--output-dir", str(out))

    assert (dry.code, ended.code, again.code) == (0, 0, 0), (dry, ended, again)
    assert "images: 4\n" in dry.out
    assert f"{first} -> {out / first.relative_to(home.pictures).with_suffix('.txt')}\n" in dry.out
    assert not made_by_dry
    assert set(text_files(out)) == {home.sidecar(name).as_posix() for name in names}
    assert list(text_files(home.pictures).values()) == ["not looked at"]
    assert "4 skipped" in again.err
    assert len(home.worker_keys()) == 4


@pytest.mark.slow
def test_edits_history_and_undo_find_a_sidecar_elsewhere(home: Home) -> None:
    home.scripted().scenes(4)
    out = home.folder / "out"
    image = next(path for path in home.pictures.rglob("*.png") if path.parent != home.pictures)
    there = ["--output-dir", str(out)]
    home.generate(*there)
    sidecar = out / image.relative_to(home.pictures).with_suffix(".txt")
    text = sidecar.read_text()

    got = home.run("caption", "get", str(image), *there)
    listed = home.run("caption", "list", "-r", str(home.pictures), *there, "--json")
    edited = home.run("caption", "set", str(image), "mine", *there)
    kept = home.generate(*there, "--overwrite", "--json")
    history = home.run("caption", "history", str(image), *there, "--json")
    undone = home.run("caption", "undo", str(image), *there)

    assert got.out == f"{text}\n"
    assert {line["path"]: line["caption"] for line in listed.lines}[str(image)] == text
    assert (edited.code, undone.code) == (0, 0), (edited, undone)
    assert {"path": str(image), "status": "kept"} in kept.lines
    assert [line["text"] for line in history.lines] == [text, "mine"]
    assert sidecar.read_text() == text
    home.run("caption", "unset", str(image), *there)
    assert not sidecar.exists()
    home.run("caption", "undo", str(image), *there)
    assert sidecar.read_text() == text
    assert text_files(home.pictures) == {}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_run_goes_on_into_its_own_folder(home: Home) -> None:
    sidecar = pictured(home.scripted(), None)
    out = home.folder / "out"

    killed = killed_at_its_name(home, "before", "--output-dir", str(out))
    retried = home.run("queue", "retry")

    assert (killed.code, retried.code) == (-signal.SIGKILL, 0), (killed, retried)
    assert list(text_files(out)) == [sidecar.name]
    assert not sidecar.exists()
    assert len(home.worker_keys()) == 1


@pytest.mark.slow
def test_several_folders_have_their_names_there_and_two_of_one_name_are_refused(
    home: Home,
) -> None:
    home.scripted().scenes(2, nested=False)
    one, two = sorted(home.pictures.glob("*.png"))
    folders = [home.pictures / name for name in ("a/cats", "b/dogs", "b/cats")]
    for folder in folders:
        folder.mkdir(parents=True)
    one.rename(folders[0] / "x.png")
    two.rename(folders[1] / "x.png")
    out = home.folder / "out"
    generate = ("caption", "generate", "--model", "shapes", "--output-dir", str(out))

    ended = home.run(*generate, *map(str, folders[:2]))
    refused = home.run(*generate, *map(str, folders))

    assert ended.code == 0, ended
    assert sorted(text_files(out)) == ["cats/x.txt", "dogs/x.txt"]
    assert refused.code == 2, refused
    place = out / "cats"
    assert f"of {folders[0]} and {folders[2]} would both go into {place}" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize("where", ["", "captions"], ids=["the folder itself", "below it"])
def test_a_directory_in_the_folder_that_it_mirrors_works(home: Home, where: str) -> None:
    home.scripted().scenes(2, nested=False)
    out = home.pictures / where

    ended = home.generate("--output-dir", str(out))
    again = home.generate("--output-dir", str(out))

    assert (ended.code, again.code) == (0, 0), (ended, again)
    assert len(text_files(out)) == 2
    assert "2 skipped" in again.err


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_enqueued(home: Home) -> None:
    """A disk that refuses files, for whoever runs the tests: `/proc` does."""
    home.scripted().scenes(1, nested=False)

    refused = home.generate("--output-dir", "/proc/captiv-out")
    a_file = home.generate("--output-dir", str(next(home.pictures.glob("*.png"))))

    assert refused.code == 1, refused
    assert "/proc" in refused.err
    assert a_file.code == 2, a_file
    assert "is no folder." in a_file.err
    assert home.run("queue", "list").out.strip() == "No runs yet."
    assert home.worker_keys() == []


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform == "win32", reason="folders there are written by whoever owns them"
)
def test_a_read_only_folder_names_the_option_that_captions_it(home: Home) -> None:
    home.scripted().scenes(2, nested=False)
    out = home.folder / "out"
    out.mkdir()

    with sealed(home.pictures):
        refused = home.generate()
        dry = home.generate("--dry-run")
        ended = home.generate("--output-dir", str(out))
    with sealed(out):
        elsewhere = home.generate("--output-dir", str(out / "deep"))

    assert (refused.code, dry.code, ended.code, elsewhere.code) == (1, 1, 0, 1), (refused, ended)
    for told in (refused.err, dry.out):
        assert "Or have the captions written into a folder of their own: --output-dir DIR." in told
    assert len(text_files(out)) == 2
    assert "Or have the captions written into another folder: --output-dir DIR." in elsewhere.err
    runs = home.run("queue", "list", "--json").lines
    assert len(runs) == 1, "what cannot be written made no run"
