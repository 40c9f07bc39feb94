import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captiv.core.texts import content_hash
from captiv.errors import SidecarError
from captiv.output import atomic, sidecar
from captiv.output.sidecar import (
    Sidecar,
    Written,
    probe_folder,
    read,
    sync_folder,
    write,
    write_many,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="files and permissions of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def temporaries(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.startswith(".captiv-")]


def hint(caught: pytest.ExceptionInfo[SidecarError]) -> str:
    assert caught.value.hint is not None, "every sidecar error says what to do"
    return caught.value.hint


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own; the test is skipped where this user may not mount."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True
    )
    if made.returncode:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


# --- reading ------------------------------------------------------------------------------------


def test_a_sidecar_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt") is None
    assert read(tmp_path / "gone" / "a.txt") is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Zwei Füße 😀\n".encode(), "Zwei Füße 😀\n"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("Füße".encode("utf-16"), "Füße"),
        ("Füße".encode("utf-16-be").join((b"\xfe\xff", b"")), "Füße"),
        ("Füße “x”".encode("cp1252"), "Füße “x”"),
        (b"no such cp1252: \x81\x8d\xff", "no such cp1252: \x81\x8d\xff"),
        (b"two\r\nlines\r\n", "two\r\nlines\r\n"),
    ],
)
def test_a_persons_text_is_read_in_whatever_encoding(
    tmp_path: Path, data: bytes, text: str
) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert read(tmp_path / "a.txt") == read(str(tmp_path / "a.txt")) == text


BLANK = [
    b"",
    b" \r\n\t",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xff\xfe \0\n\0",
    b"\0" * 400,
    b"\xc2\xa0",
]


@pytest.mark.parametrize("data", BLANK)
def test_a_file_with_nothing_in_it_is_no_caption(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)

    assert read(path) is None
    assert not sidecar.has_text(path)
    assert write(path, "a dog", replace=False) is Written.WRITTEN
    assert path.read_bytes() == b"a dog"
    assert sidecar.has_text(path)


@pytest.mark.parametrize(
    "data", [b"\0" * 400 + b"a", "\u732b".encode(), b"\xff\xfe" + b" \0" * 300 + b"a\0"]
)
def test_a_caption_after_much_that_is_blank_is_one(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)

    assert read(tmp_path / "a.txt") is not None
    assert sidecar.has_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("a.txt", "a.TXT"),
        ("a.txt", "a.Txt"),
        ("\u00e9.txt", "e\u0301.txt"),
        ("e\u0301.txt", "\u00e9.TXT"),
        ("a.jpg.txt", "a.jpg.TXT"),
    ],
)
def test_another_spelling_of_its_name_is_the_same_sidecar(
    tmp_path: Path, asked: str, there: str
) -> None:
    (tmp_path / there).write_text("one")

    assert read(tmp_path / asked) == "one"
    assert sidecar.has_text(tmp_path / asked)
    assert sidecar.actual(str(tmp_path / asked)) == str(tmp_path / there)
    assert write(tmp_path / asked, "two", replace=False) is Written.KEPT
    assert write(tmp_path / asked, "two", replace=True) is Written.WRITTEN
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {there: "two"}
    sidecar.swap(str(tmp_path / asked), b"two", b"three")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {there: "three"}
    sidecar.swap(str(tmp_path / asked), b"three", None)
    assert list(tmp_path.iterdir()) == []


def test_a_swap_is_made_only_of_what_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("theirs")

    for old, new in ((b"seen", b"new"), (b"seen", None), (None, b"new")):
        (result,) = sidecar.swap_many([sidecar.Swap(str(path), old, new)])
        assert result is sidecar.CHANGED
    assert path.read_text() == "theirs"
    assert sidecar.swap_many([sidecar.Swap(str(tmp_path / "b.txt"), None, b"new")]) == [None]
    assert (tmp_path / "b.txt").read_text() == "new"


def test_many_swaps_are_made_in_every_folder_and_one_failure_stops_no_other(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / f"{n % 3}" / f"{n:03}.txt" for n in range(200)]
    for n in range(2):
        (tmp_path / f"{n}").mkdir()
    here = [path for path in paths if path.parent.exists()]
    for path in here:
        path.write_text("old")

    swaps = [sidecar.Swap(str(path), b"old", b"new") for path in here]
    none = sidecar.Swap(str(paths[2]), None, b"new")
    first, *others = sidecar.swap_many([none, *swaps])

    assert isinstance(first, SidecarError)
    assert others == [None] * len(here)
    assert {path.read_text() for path in here} == {"new"}
    assert temporaries(tmp_path / "0") == []


@posix
@pytest.mark.timeout(60)
def test_what_is_no_file_is_an_error_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    (tmp_path / "folder.txt").mkdir()
    for call in (read, lambda path: write(path, "x", replace=True)):
        with pytest.raises(SidecarError, match="something that is no file has that name"):
            call(tmp_path / "fifo.txt")
        with pytest.raises(SidecarError, match="a folder has that name"):
            call(tmp_path / "folder.txt")


# --- telling a hand edit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "saved",
    ["a red\nball", "a red\nball\n", "  a red\nball \n\n", "a red\r\nball\r\n", "a red\rball"],
)
def test_white_space_at_the_ends_and_newlines_are_no_hand_edit(saved: str) -> None:
    assert content_hash(saved) == content_hash("a red\nball")


@pytest.mark.parametrize("edited", ["a Red\nball", "a red ball", "a red\nball.", ""])
def test_a_word_or_a_stop_is_a_hand_edit(edited: str) -> None:
    assert content_hash(edited) != content_hash("a red\nball")


def test_the_hash_is_sha256_of_utf8() -> None:
    assert (
        content_hash("abc\n") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert content_hash("\udcff") != content_hash("")


# --- writing ------------------------------------------------------------------------------------


@given(text=st.text(), replace=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_text_is_written_exactly_as_given(tmp_path: Path, text: str, replace: bool) -> None:
    path = tmp_path / "a.txt"
    path.unlink(missing_ok=True)
    assert write(path, text, replace=replace) is Written.WRITTEN
    assert path.read_bytes() == text.encode()
    assert names(tmp_path) == ["a.txt"]


def test_another_text_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("mine")
    assert write(path, "captiv's", replace=False) is Written.KEPT
    assert path.read_text() == "mine"
    assert write(path, "captiv's", replace=True) is Written.WRITTEN
    assert path.read_text() == "captiv's"
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("replace", [False, True])
def test_our_own_text_from_before_a_crash_is_left_alone(tmp_path: Path, replace: bool) -> None:
    path = tmp_path / "a.txt"
    write(path, "a caption", replace=False)
    before = path.stat()
    assert write(path, "a caption", replace=replace) is Written.SAME
    assert path.stat() == before
    path.write_text("a caption\n")
    assert write(path, "a caption", replace=False) is Written.KEPT


@posix
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_a_new_sidecar_has_the_permissions_that_the_umask_gives(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "a.txt", "x", replace=False)
        write(tmp_path / "b.txt", "x", replace=True)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert modes == {0o666 & ~mask}


@posix
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_replaced_sidecar_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    write(path, "new", replace=True)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_link_is_replaced_and_what_it_points_to_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "a.txt").symlink_to("elsewhere")
    assert write(tmp_path / "a.txt", "mine", replace=False) is Written.KEPT
    assert write(tmp_path / "a.txt", "mine", replace=True) is Written.WRITTEN
    assert (tmp_path / "elsewhere").read_text() == "theirs"
    assert not (tmp_path / "a.txt").is_symlink()


@posix
def test_a_link_to_nothing_is_in_the_way_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("nowhere")
    with pytest.raises(SidecarError, match="something that is no file has that name"):
        write(tmp_path / "a.txt", "mine", replace=False)
    assert write(tmp_path / "a.txt", "mine", replace=True) is Written.WRITTEN
    assert temporaries(tmp_path) == []


@posix
@pytest.mark.parametrize(
    "name",
    [b"new\nline.txt", b"'\"$(x).txt", "😀.txt".encode(), b"\xff\xe9.txt", b"x" * 251 + b".txt"],
)
def test_any_name_is_written_and_read(tmp_path: Path, name: bytes) -> None:
    path = f"{tmp_path}/{os.fsdecode(name)}"
    assert write(path, "here", replace=False) is Written.WRITTEN
    assert read(path) == "here"
    assert names(tmp_path) == [os.fsdecode(name)]


def test_a_relative_path_is_written_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_many([Sidecar("a.txt", "x")]) == [Written.WRITTEN]
    assert read("a.txt") == "x"


# --- what can go wrong --------------------------------------------------------------------------


def test_a_missing_folder_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "gone\n" / "a.txt"
    with pytest.raises(SidecarError, match="its folder is gone") as caught:
        write(path, "x", replace=False)
    assert ascii(str(path)) in caught.value.message
    assert caught.value.message.isprintable()
    assert "captiv queue retry" in hint(caught)


@posix
def test_a_name_too_long_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SidecarError, match="its name is too long") as caught:
        write(tmp_path / ("x" * 300), "x", replace=False)
    assert "shorter name" in hint(caught)


@pytest.mark.parametrize(("path", "text"), [("a\0b.txt", "x"), ("a.txt", "\udcff")])
def test_what_no_file_can_hold_is_a_sidecar_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SidecarError):
        write(path, text, replace=True)
    assert names(tmp_path) == []


@posix
def test_on_a_full_disk_nothing_half_appears_and_nothing_is_lost(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        write(disk / "old.txt", "old", replace=False)
        with pytest.raises(SidecarError, match="the disk is full") as caught:
            for n in range(99):
                write(disk / f"{n}.txt", f"{n}" * 4000, replace=False)
        with pytest.raises(SidecarError, match="the disk is full"):
            write(disk / "old.txt", "new" * 20_000, replace=True)
        with pytest.raises(OSError, match="No space"), open(disk / "rest", "wb", 0) as rest:
            while rest.write(bytes(4096)):
                pass
        with pytest.raises(SidecarError, match="the disk is full"):
            probe_folder(disk)
        assert "Free some space" in hint(caught)
        assert read(disk / "old.txt") == "old"
        assert temporaries(disk) == []
        for path in set(disk.glob("*.txt")) - {disk / "old.txt"}:
            assert path.read_text() == path.stem * 4000


@posix
def test_a_disk_with_no_inode_left_says_so(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "nr_inodes=3") as disk:
        write(disk / "a.txt", "a", replace=False)
        with pytest.raises(SidecarError, match="no inode left"):
            write(disk / "b.txt", "b", replace=False)


@posix
def test_a_read_only_disk_is_explained_and_noticed_by_the_probe(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        write(disk / "a.txt", "old", replace=False)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for replace, name in ((False, "b.txt"), (True, "a.txt")):
            with pytest.raises(SidecarError, match="the disk is read-only"):
                write(disk / name, "new", replace=replace)
        with pytest.raises(SidecarError, match="the disk is read-only") as caught:
            probe_folder(disk)
        assert caught.value.message.startswith(f"cannot write in {disk}: ")
        assert "run the command again" in hint(caught)
        assert read(disk / "a.txt") == "old"


@posix
def test_a_folder_that_may_not_be_written_is_explained(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    if subprocess.run(["chattr", "+i", folder], capture_output=True).returncode:
        folder.chmod(0o555)
        if os.access(folder, os.W_OK):
            pytest.skip("nothing keeps this user from writing")
    try:
        with pytest.raises(SidecarError, match="this user may not write there"):
            write(folder / "a.txt", "x", replace=False)
        with pytest.raises(SidecarError, match="this user may not write there"):
            probe_folder(folder)
    finally:
        subprocess.run(["chattr", "-i", folder], capture_output=True)


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    probe_folder(tmp_path)
    assert names(tmp_path) == []
    with pytest.raises(SidecarError, match="its folder is gone"):
        probe_folder(tmp_path / "gone")


def test_one_failure_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "folder.txt").mkdir()
    items = [
        Sidecar(str(tmp_path / "a.txt"), "a"),
        Sidecar(str(tmp_path / "gone" / "b.txt"), "b"),
        Sidecar(str(tmp_path / "mine.txt"), "c"),
        Sidecar(str(tmp_path / "folder.txt"), "d", replace=True),
        Sidecar(str(tmp_path / "e.txt"), "e", replace=True),
        Sidecar(str(tmp_path / "a.txt"), "a"),
    ]
    results = write_many(iter(items))
    assert [r if isinstance(r, Written) else type(r) for r in results] == [
        Written.WRITTEN, SidecarError, Written.KEPT, SidecarError, Written.WRITTEN, Written.SAME,
    ]  # fmt: skip
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_folders_are_synced_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    if sys.platform != "win32":
        with pytest.raises(SidecarError):
            sync_folder(tmp_path / "gone")


@posix
def test_text_then_name_then_folder_reach_the_disk_in_that_order(tmp_path: Path) -> None:
    if subprocess.run(["which", "strace"], capture_output=True).returncode:
        pytest.skip("needs strace")
    script = (
        "import sys; from captiv.output.sidecar import *\n"
        "write_many([Sidecar('a.txt', 'a'), Sidecar('b.txt', 'b', True)])\n"
    )
    log = tmp_path / "calls"
    traced = "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2"
    subprocess.run(
        ["strace", "-f", "-y", "-e", traced, "-o", log, sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    calls = [line.split()[1].split("(")[0] for line in log.read_text().splitlines() if "(" in line]
    order = [name.removesuffix("at") for name in calls]
    assert order == ["fsync", "link", "fsync", "rename", "fsync"]


# --- races and crashes --------------------------------------------------------------------------


@pytest.mark.parametrize("round_", range(5))
def test_of_two_writers_that_may_not_replace_exactly_one_writes(
    tmp_path: Path, round_: int
) -> None:
    start = threading.Barrier(8)

    def race(n: int) -> Written:
        start.wait()
        return write(tmp_path / "a.txt", f"text {n}", replace=False)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(race, range(8)))
    assert sorted(results) == [Written.KEPT] * 7 + [Written.WRITTEN]
    assert read(tmp_path / "a.txt") == f"text {results.index(Written.WRITTEN)}"
    assert temporaries(tmp_path) == []


NameIt = Callable[[str, str], object]

NAMINGS: list[NameIt] = [atomic.name_new, atomic.rename_looking] + (
    [atomic.rename_refusing] if sys.platform == "linux" else []
)


@pytest.mark.parametrize("name", NAMINGS)
def test_no_way_of_naming_replaces_what_is_there(tmp_path: Path, name: NameIt) -> None:
    for n in range(2):
        (tmp_path / f"{n}").write_text(f"{n}")
    name(str(tmp_path / "0"), str(tmp_path / "a.txt"))
    with pytest.raises(FileExistsError):
        name(str(tmp_path / "1"), str(tmp_path / "a.txt"))
    assert (tmp_path / "a.txt").read_text() == "0"
    assert (tmp_path / "1").read_text() == "1"


@pytest.mark.parametrize("name", NAMINGS)
def test_every_way_of_naming_lets_exactly_one_of_a_process_win(
    tmp_path: Path, name: NameIt
) -> None:
    start = threading.Barrier(4)

    def race(n: int) -> int:
        won = 0
        for round_ in range(150):
            (tmp_path / f"{n}").write_text(f"{n}")
            start.wait()
            try:
                name(str(tmp_path / f"{n}"), str(tmp_path / f"{round_}.txt"))
            except FileExistsError:
                continue
            won += 1
        return won

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads change in every gap there is
    try:
        with ThreadPoolExecutor(4) as threads:
            assert sum(threads.map(race, range(4))) == 150
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2")
def test_a_rename_that_cannot_be_done_says_why(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("x")
    with pytest.raises(OSError, match="gone") as caught:
        atomic.rename_refusing(str(tmp_path / "t"), str(tmp_path / "gone" / "a.txt"))
    assert caught.value.errno == errno.ENOENT


STOPPED_BEFORE_NAMING = """
import os, signal, sys
from captiv.output import atomic, sidecar
def stop(event, args):
    if event in ("os.link", "os.rename"):
        print("stopped", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(stop)
sidecar.write(sys.argv[1], "a caption " * 1000, replace=sys.argv[2] == "replace")
"""


@contextmanager
def stopped_writer(path: Path, replace: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is stopped when its temporary is whole and has not got its name yet."""
    how = "replace" if replace else "keep"
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED_BEFORE_NAMING, path, how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"stopped\n"
        os.waitpid(child.pid, os.WUNTRACED)
        try:
            yield child
        finally:
            child.kill()


@posix
@pytest.mark.parametrize("replace", [False, True])
def test_a_writer_killed_before_naming_leaves_no_sidecar_and_the_next_write_cleans_up(
    tmp_path: Path, replace: bool
) -> None:
    path = tmp_path / "a.txt"
    if replace:
        path.write_text("old")
    with stopped_writer(path, replace) as child:
        child.send_signal(signal.SIGKILL)
    assert len(temporaries(tmp_path)) == 1
    assert read(path) == ("old" if replace else None)
    assert write(path, "new", replace=replace) is Written.WRITTEN
    assert temporaries(tmp_path) == []


@posix
def test_the_temporary_of_a_writer_that_lives_is_left_alone(tmp_path: Path) -> None:
    with stopped_writer(tmp_path / "a.txt", False) as child:
        write(tmp_path / "b.txt", "b", replace=False)
        assert len(temporaries(tmp_path)) == 1
        child.send_signal(signal.SIGCONT)
        assert child.wait() == 0
    assert read(tmp_path / "a.txt") == "a caption " * 1000
    assert temporaries(tmp_path) == []


def test_only_captivs_own_leftovers_are_removed(tmp_path: Path) -> None:
    theirs = [".captiv-notes", ".captiv-0123456789abcdef.jpg", "x.captiv-0123456789abcdef"]
    for name in theirs:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".captiv-0123456789abcdef").mkdir()
    write(tmp_path / "a.txt", "x", replace=False)
    assert names(tmp_path) == sorted([*theirs, ".captiv-0123456789abcdef", "a.txt"])


@posix
def test_writers_killed_at_any_moment_leave_whole_sidecars(tmp_path: Path) -> None:
    script = (
        "import sys; from captiv.output.sidecar import *\n"
        "print('ready', flush=True)\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    write_many([Sidecar(f'{sys.argv[1]}/{n % 7}.txt', f'{n}.' * 5000, n % 2 == 0)])\n"
        "    print(n, flush=True)\n"
    )
    for round_ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", script, tmp_path],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
        )
        with child:
            assert child.stdout is not None
            for _ in range(2 + 5 * round_):
                child.stdout.readline()
            child.kill()
        for path in tmp_path.glob("*.txt"):
            text = path.read_text()
            assert text == (text.partition(".")[0] + ".") * 5000
    write(tmp_path / "last.txt", "x", replace=False)
    assert temporaries(tmp_path) == []
