import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cli, ready_database


@pytest.fixture(autouse=True)
def database(captiv_home: Path) -> Path:
    return ready_database(captiv_home)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for name, text in {"a": "a dog\n", "b": "a cat", "below/c": "dogs"}.items():
        (folder / f"{name}.jpg").write_bytes(b"")
        (folder / f"{name}.txt").write_text(text)
    (folder / "none.png").write_bytes(b"")
    monkeypatch.chdir(folder)
    return folder


def test_replace_shows_every_change_before_it_makes_it(cli: Cli, pictures: Path) -> None:
    ended = cli("caption", "replace", "--find", "dog", "--with", "wolf", "-r", "--yes")

    assert ended.code == 0
    assert ended.out == "a.jpg\n- a dog\n+ a wolf\nbelow/c.jpg\n- dogs\n+ wolfs\n"
    assert "2 captions changed" in ended.err
    assert (pictures / "a.txt").read_text() == "a wolf\n"
    assert not (pictures / "none.txt").exists()


def test_ten_changes_are_shown_before_the_question_and_how_many_more(
    cli: Cli, pictures: Path
) -> None:
    for n in range(12):
        (pictures / f"z{n:02}.jpg").write_bytes(b"")
        (pictures / f"z{n:02}.txt").write_text("dog")
    edit = ("caption", "replace", "--find", "dog", "--with", "wolf")

    asked = cli(*edit).out.splitlines()
    assert len(asked) == 31
    assert asked[-1] == "and 3 more; --dry-run shows all"
    assert len(cli(*edit, "--dry-run").out.splitlines()) == 39
    assert len(cli(*edit, "--json", "--yes").out.splitlines()) == 13


@pytest.mark.slow
def test_an_interrupted_edit_keeps_what_was_done_and_can_be_undone(
    cli: Cli, pictures: Path, captiv_home: Path
) -> None:
    """Ctrl-C when the first text of the second chunk is on its way to the disk."""
    for n in range(700):
        (pictures / f"z{n:03}.jpg").write_bytes(b"")
        (pictures / f"z{n:03}.txt").write_text("dog")
    script = (
        "import os, signal, sys\n"
        "names = 0\n"
        "def stop(event, args):\n"
        "    global names\n"
        "    names += event == 'os.rename'\n"
        "    if event == 'os.rename' and names == 300:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(stop)\n"
        "from captiv.cli.app import main\n"
        "sys.exit(main())\n"
    )
    args = ["caption", "replace", "--find", "dog", "--with", "wolf", "-y"]
    ended = subprocess.run(
        [sys.executable, "-c", script, *args], cwd=pictures, capture_output=True, text=True
    )

    done = sum(path.read_text().startswith("wolf") for path in pictures.glob("z*.txt"))
    assert ended.returncode == 130
    assert f"interrupted: {done + 1} captions changed" in ended.stderr
    assert 300 <= done < 700
    assert f"{done + 1} captions put back" in cli("caption", "undo", "-y").err
    assert {path.read_text() for path in pictures.glob("z*.txt")} == {"dog"}


def test_a_dry_run_and_an_unanswered_question_change_nothing(cli: Cli, pictures: Path) -> None:
    edit = ("caption", "replace", "--trigger-word", "ohwx")

    assert cli(*edit, "--dry-run").code == 0
    assert cli(*edit).code == 2
    assert (pictures / "a.txt").read_text() == "a dog\n"


def test_undo_takes_back_a_whole_edit(cli: Cli, pictures: Path) -> None:
    cli("caption", "replace", "--prefix", "photo of ", "--suffix", ".", "-y", "-r")
    assert (pictures / "below" / "c.txt").read_text() == "photo of dogs."

    ended = cli("caption", "undo", "-y")

    assert ended.code == 0
    assert "3 captions put back" in ended.err
    assert (pictures / "a.txt").read_text() == "a dog\n"
    assert cli("caption", "undo", "-y").code == 2


def test_history_lists_edits_and_an_images_texts(cli: Cli, pictures: Path) -> None:
    cli("caption", "replace", "--find", "dog", "--with", "wolf", "-y")

    assert "\t1\t'dog' to 'wolf'\t" in cli("caption", "history").out
    out = cli("caption", "history", "a.jpg", "--json").out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(t["text"], t["source"], t["current"]) for t in lines] == [
        ("a dog\n", "import", False),
        ("a wolf\n", "hand", True),
    ]


def test_undo_of_one_image_goes_back_one_text(cli: Cli, pictures: Path) -> None:
    cli("caption", "set", "b.jpg", "a tiger")

    assert cli("caption", "undo", "b.jpg").code == 0
    assert (pictures / "b.txt").read_text() == "a cat"


def test_edits_that_make_no_sense_are_refused(cli: Cli, pictures: Path) -> None:
    for args in (
        ["replace"],
        ["replace", "--find", "(", "--regex", "-y"],
        ["undo", "--to", "3"],
        ["undo", "a.jpg", "--edit", "1"],
        ["undo", "none.png"],
        ["history", "nix.jpg"],
    ):
        assert cli("caption", *args).code == 2, args


def test_a_sidecar_that_cannot_be_read_is_named_and_the_rest_changed(
    cli: Cli, pictures: Path
) -> None:
    (pictures / "b.txt").unlink()
    (pictures / "b.txt").mkdir()

    ended = cli("caption", "replace", "--find", "dog", "--with", "wolf", "-y")

    assert ended.code == 1
    assert "kept b.jpg" in ended.err
    assert (pictures / "a.txt").read_text() == "a wolf\n"
