import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from captiv.core.keeping import Keeping, keeping
from captiv.core.spec import Output
from captiv.core.texts import content_hash
from captiv.store import Store, captions

from .conftest import Cli, ready_database

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for name in ("a.jpg", "b c.png", "below/d.webp"):
        (folder / name).write_bytes(b"")
    (folder / "a.txt").write_text("a dog\n")
    (folder / "notes.txt").write_text("no image beside it")
    monkeypatch.chdir(folder)
    return folder


def history(captiv_home: Path, image: Path) -> list[tuple[str, str]]:
    with Store.open(captiv_home / "data" / "captiv.db", read_only=True) as store:
        return [
            (c.text, c.source) for c in store.read(captions.history, Output().place_of(str(image)))
        ]


@pytest.fixture
def database(captiv_home: Path) -> Path:
    return ready_database(captiv_home)


def test_list_shows_every_image_with_its_caption(cli: Cli, pictures: Path) -> None:
    ended = cli("caption", "list")

    assert ended.code == 0
    assert ended.out == "a.jpg\ta dog\nb c.png\t\n"


def test_list_as_json_is_one_object_a_line(cli: Cli, pictures: Path) -> None:
    (pictures / "n\nl.png").write_bytes(b"")

    lines = cli("caption", "list", pictures, "-r", "--json").out.splitlines()

    found = {json.loads(line)["path"]: json.loads(line)["caption"] for line in lines}
    assert len(lines) == 4
    assert found[str(pictures / "a.jpg")] == "a dog\n"
    assert found[str(pictures / "n\nl.png")] is None


def test_a_name_with_control_characters_stays_on_its_line(cli: Cli, pictures: Path) -> None:
    (pictures / "n\nl\x1b[31m.png").write_bytes(b"")

    out = cli("caption", "list").out

    assert "n\\nl\\x1b[31m.png\t\n" in out
    assert "\x1b" not in out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_text_ends_nothing(cli: Cli, pictures: Path) -> None:
    Path(os.fsdecode(b"\xff.png")).write_bytes(b"")

    assert cli("caption", "list").code == 0
    assert cli("caption", "list", "--json").code == 0
    assert cli("caption", "set", os.fsdecode(b"\xff.png"), "x").code == 0
    assert cli("caption", "get", os.fsdecode(b"\xff.png")).out == "x\n"


def test_get_prints_the_caption(cli: Cli, pictures: Path) -> None:
    assert cli("caption", "get", "a.jpg").out == "a dog\n"


def test_get_without_a_caption_is_1_with_a_sentence(cli: Cli, pictures: Path) -> None:
    ended = cli("caption", "get", "b c.png")

    assert (ended.code, ended.out) == (1, "")
    assert "b c.png has no caption" in ended.err


@pytest.mark.parametrize("name", ["nix.jpg", "below", "notes.txt"])
def test_what_is_no_image_is_refused(cli: Cli, pictures: Path, name: str) -> None:
    for args in (["get", name], ["set", name, "x"], ["unset", name]):
        assert cli("caption", *args).code == 2
    assert (pictures / "notes.txt").read_text() == "no image beside it"


def test_set_writes_the_sidecar_and_records_it_as_written_by_hand(
    cli: Cli, pictures: Path, captiv_home: Path
) -> None:
    assert cli("caption", "set", "a.jpg", "a wolf").code == 0

    assert (pictures / "a.txt").read_text() == "a wolf"
    texts = history(captiv_home, pictures / "a.jpg")
    assert texts == [("a dog\n", "import"), ("a wolf", "hand")]
    known = {content_hash(text): source for text, source in texts}
    assert keeping(content_hash("a wolf"), known, "yes") is Keeping.KEEP  # type: ignore[arg-type]


def test_an_edit_after_set_is_recorded_as_an_edit(
    cli: Cli, pictures: Path, captiv_home: Path
) -> None:
    cli("caption", "set", "b c.png", "one")
    (pictures / "b c.txt").write_text("two, by an editor")

    cli("caption", "set", "b c.png", "three")

    assert history(captiv_home, pictures / "b c.png") == [
        ("one", "hand"),
        ("two, by an editor", "hand"),
        ("three", "hand"),
    ]


def test_set_twice_is_one_text(cli: Cli, pictures: Path, captiv_home: Path) -> None:
    for _ in range(2):
        cli("caption", "set", "b c.png", "same")

    assert history(captiv_home, pictures / "b c.png") == [("same", "hand")]


def test_set_reads_standard_input(cli: Cli, pictures: Path) -> None:
    assert cli("caption", "set", "a.jpg", "-", stdin="größer 🐺\n").code == 0

    assert (pictures / "a.txt").read_text("utf-8") == "größer 🐺"
    assert cli("caption", "get", "a.jpg").out == "größer 🐺\n"


@pytest.mark.parametrize("text", ["", "  \n", "\udcff"])
def test_set_refuses_what_is_no_caption(cli: Cli, pictures: Path, text: str) -> None:
    assert cli("caption", "set", "a.jpg", "--", text).code == 2
    assert (pictures / "a.txt").read_text() == "a dog\n"


def test_unset_removes_the_sidecar_and_keeps_its_text(
    cli: Cli, pictures: Path, captiv_home: Path
) -> None:
    assert cli("caption", "unset", "a.jpg").code == 0

    assert not (pictures / "a.txt").exists()
    assert history(captiv_home, pictures / "a.jpg") == [("a dog\n", "import")]
    again = cli("caption", "unset", "a.jpg")
    assert again.code == 0
    assert "has no caption" in again.err


def test_the_options_of_generate_say_where_the_sidecar_is(cli: Cli, pictures: Path) -> None:
    options = ["--extension", "caption", "--sidecar-name", "full"]

    cli("caption", "set", "a.jpg", "x", *options)

    assert (pictures / "a.jpg.caption").read_text() == "x"
    assert cli("caption", "get", "a.jpg", *options).out == "x\n"
    assert cli("caption", "get", "a.jpg", "--sidecar-name", "both").code == 2
    assert cli("caption", "get", "a.jpg", "--extension", ".png").code == 2


def test_the_settings_say_where_the_sidecar_is(cli: Cli, pictures: Path) -> None:
    cli("config", "set", "output.extension", ".caption")

    cli("caption", "set", "a.jpg", "x")

    assert (pictures / "a.caption").read_text() == "x"


def test_clear_asks_and_where_nobody_can_be_asked_refuses(cli: Cli, pictures: Path) -> None:
    ended = cli("caption", "clear", pictures)

    assert ended.code == 2
    assert "Remove 1 caption in" in ended.err
    assert (pictures / "a.txt").exists()


def test_clear_removes_the_captions_of_images_only_and_keeps_their_texts(
    cli: Cli, pictures: Path, captiv_home: Path
) -> None:
    (pictures / "below" / "d.txt").write_text("deep")

    ended = cli("caption", "clear", pictures, "--yes")
    assert ended.code == 0
    assert "1 caption removed" in ended.err
    assert (pictures / "below" / "d.txt").exists()

    assert "1 caption removed" in cli("caption", "clear", pictures, "-r", "-y").err
    assert not (pictures / "below" / "d.txt").exists()
    assert (pictures / "notes.txt").exists()
    assert history(captiv_home, pictures / "below" / "d.webp") == [("deep", "import")]
    assert cli("caption", "clear", pictures, "-r").code == 0


def test_clear_names_what_it_could_not_remove_and_removes_the_rest(
    cli: Cli, pictures: Path
) -> None:
    (pictures / "b c.txt").mkdir()

    ended = cli("caption", "clear", pictures, "--yes")

    assert ended.code == 1
    assert "1 caption removed" in ended.err
    assert "kept b c.png: " in ended.err
    assert str(pictures / "b c.txt") in ended.err
    assert not (pictures / "a.txt").exists()


def test_clear_is_an_edit_that_undo_takes_back_as_a_whole(cli: Cli, pictures: Path) -> None:
    cli("caption", "replace", "--find", "dog", "--with", "wolf", "-y")
    (pictures / "below" / "d.txt").write_bytes("tief \u00fcber\r\n".encode("cp1252"))
    cli("caption", "clear", "-r", "-y")
    assert not (pictures / "a.txt").exists()

    ended = cli("caption", "undo", "-y")

    assert "2 captions put back" in ended.err
    assert (pictures / "a.txt").read_text() == "a wolf\n"
    assert (pictures / "below" / "d.txt").read_bytes() == b"tief \xfcber\r\n"
    assert "1 caption put back" in cli("caption", "undo", "-y").err
    assert (pictures / "a.txt").read_text() == "a dog\n"


def test_undo_after_unset_gives_back_what_was_unset(cli: Cli, pictures: Path) -> None:
    for text in ("A", "B"):
        cli("caption", "set", "a.jpg", text)
    cli("caption", "replace", "--find", "B", "--with", "C", "-y")
    cli("caption", "undo", "a.jpg")
    cli("caption", "unset", "a.jpg")

    assert cli("caption", "undo", "a.jpg").code == 0
    assert (pictures / "a.txt").read_text() == "B"


@pytest.mark.parametrize("data", [b" \n", b"\xef\xbb\xbf", b"\0" * 64])
def test_a_blank_sidecar_is_no_caption(cli: Cli, pictures: Path, data: bytes) -> None:
    (pictures / "a.txt").write_bytes(data)

    assert cli("caption", "list").out == "a.jpg\t\nb c.png\t\n"
    assert json.loads(cli("caption", "list", "--json").out.splitlines()[0])["caption"] is None
    assert cli("caption", "get", "a.jpg").code == 1
    assert "nothing to change" in cli("caption", "replace", "--prefix", "x", "-y").err
    assert "no captions" in cli("caption", "clear", "-y").err
    assert (pictures / "a.txt").read_bytes() == data


def test_a_sidecar_in_capitals_or_with_other_accents_is_the_images(
    cli: Cli, pictures: Path
) -> None:
    (pictures / "a.txt").rename(pictures / "a.TXT")
    (pictures / "\u00e9.jpg").write_bytes(b"")
    (pictures / "e\u0301.txt").write_text("a caf\u00e9")

    assert cli("caption", "list").out == "a.jpg\ta dog\nb c.png\t\n\u00e9.jpg\ta caf\u00e9\n"
    cli("caption", "replace", "--prefix", "x ", "-y")
    cli("caption", "set", "a.jpg", "set")

    assert sorted(path.name for path in pictures.glob("*.[tT]*")) == [
        "a.TXT",
        "e\u0301.txt",
        "notes.txt",
    ]
    assert (pictures / "a.TXT").read_text() == "set"
    assert (pictures / "e\u0301.txt").read_text() == "x a caf\u00e9"
    cli("caption", "unset", "a.jpg")
    assert not (pictures / "a.TXT").exists()
    cli("caption", "undo", "a.jpg")
    assert (pictures / "a.txt").read_text() == "set"


def test_a_folder_that_is_not_there_is_refused(cli: Cli, pictures: Path) -> None:
    assert cli("caption", "list", "nix").code == 2
    assert cli("caption", "clear", "a.jpg", "--yes").code == 2
    assert (pictures / "a.txt").exists()
    assert "a.jpg is no folder" in cli("caption", "list", "a.jpg").err


@pytest.mark.parametrize("command", [("list",), ("generate", "--dry-run")])
def test_a_folder_without_images_is_named_and_r_where_it_could_find_some(
    cli: Cli, tmp_path: Path, command: tuple[str, ...]
) -> None:
    bare, nested = tmp_path / "bare", tmp_path / "nested"
    (nested / "below").mkdir(parents=True)
    bare.mkdir()

    alone = cli("caption", *command, bare)
    above = cli("caption", *command, nested)
    deep = cli("caption", *command, nested, "-r")

    code = 1 if command[0] == "generate" else 0
    assert (alone.code, above.code, deep.code) == (code, code, code)
    assert f"no image in {bare}." in alone.err
    assert f"no image in {nested}; -r looks" in above.err
    assert f"no image in or below {nested}." in deep.err


def test_what_captiv_keeps_is_closed_to_others(cli: Cli, pictures: Path, captiv_home: Path) -> None:
    shutil.rmtree(captiv_home)

    cli("caption", "set", "a.jpg", "x")

    assert stat.S_IMODE(captiv_home.stat().st_mode) == 0o700
    assert stat.S_IMODE((captiv_home / "data").stat().st_mode) == 0o700
