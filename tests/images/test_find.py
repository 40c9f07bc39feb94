import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from captiv.images.find import Folder, find

posix = pytest.mark.skipif(sys.platform == "win32", reason="names and files that Windows lacks")


def made(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def images(folders: list[Folder], root: Path) -> list[str]:
    return [os.path.relpath(image, root) for folder in folders for image in folder.images]


def problems(folders: list[Folder]) -> list[tuple[str, str]]:
    return [(Path(p.path).name, p.reason) for folder in folders for p in folder.problems]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: those above `tmp_path` are closed by every pytest."""
    with tempfile.TemporaryDirectory(prefix="captiv-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_gives_its_images_sorted_and_every_name(tmp_path: Path) -> None:
    made(tmp_path, "b.JPG", "a.png", "a.txt", "notes.md", "sub/c.jpg")
    (folder,) = find([tmp_path], recursive=False)
    assert folder.path == str(tmp_path)
    assert folder.images == (str(tmp_path / "a.png"), str(tmp_path / "b.JPG"))
    assert folder.names == {"b.JPG", "a.png", "a.txt", "notes.md", "sub"}
    assert folder.problems == ()


def test_every_known_extension_is_an_image_in_any_case(tmp_path: Path) -> None:
    names = [
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "webp",
        "gif",
        "bmp",
        "dib",
        "tif",
        "tiff",
        "avif",
        "pjpeg",
        "pjp",
        "mpo",
        "apng",
        "heic",
        "heif",
        "hif",
        "jxl",
    ]
    made(tmp_path, *(f"{name}.{name.title()}" for name in names), "x.psd", "x.svg", "jpg")
    (folder,) = find([tmp_path], recursive=False)
    assert len(folder.images) == len(names)


def test_a_recursive_scan_goes_folder_by_folder_in_the_order_of_names(tmp_path: Path) -> None:
    made(tmp_path, "z.jpg", "b/2.jpg", "b/1.jpg", "a/deep/x.jpg", "a/y.jpg")
    found = list(find([tmp_path], recursive=True))
    assert images(found, tmp_path) == ["z.jpg", "a/y.jpg", "a/deep/x.jpg", "b/1.jpg", "b/2.jpg"]


def test_a_scan_streams(tmp_path: Path) -> None:
    made(tmp_path, "a/1.jpg", "b/2.jpg")
    scan = find([tmp_path], recursive=True)
    assert [next(scan).path, next(scan).path] == [str(tmp_path), str(tmp_path / "a")]
    shutil.rmtree(tmp_path / "b")
    assert problems(list(scan)) == [("b", "does not exist")]


def test_a_scan_forgets_the_folders_behind_it(tmp_path: Path) -> None:
    for n in range(20):
        made(tmp_path, *(f"{n:02}/{i}-{'x' * 150}.jpg" for i in range(50)))
    tracemalloc.start()
    count = sum(len(folder.images) for folder in find([tmp_path], recursive=True))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1000
    assert peak < 200_000  # the paths and names of all are 0.6 MB


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    made(tmp_path, "._a.jpg", ".captiv-0123456789abcdef", ".git/x.jpg", ".hidden.png", "a.jpg")
    found = list(find([tmp_path], recursive=True))
    assert images(found, tmp_path) == ["a.jpg"]
    assert ".hidden.png" in found[0].names


def test_a_hidden_file_or_folder_named_as_a_root_is_taken(tmp_path: Path) -> None:
    made(tmp_path, ".a.jpg", ".pictures/b.jpg")
    found = list(find([tmp_path / ".pictures", tmp_path / ".a.jpg"], recursive=False))
    assert images(found, tmp_path) == [".pictures/b.jpg", ".a.jpg"]


def test_files_named_one_by_one_come_as_one_folder_that_knows_their_sidecars(
    tmp_path: Path,
) -> None:
    made(tmp_path, "b.jpg", "a.jpg", "a.txt", "c.jpg")
    (folder,) = find([tmp_path / "b.jpg", tmp_path / "a.jpg"], recursive=False)
    assert images([folder], tmp_path) == ["a.jpg", "b.jpg"]
    assert "a.txt" in folder.names


def test_what_is_named_twice_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a/1.jpg", "a/b/2.jpg", "a/.3.jpg")
    monkeypatch.chdir(tmp_path)
    named = ["a", "a/b", str(tmp_path / "a/b/2.jpg"), "./a/../a/1.jpg", "a/.3.jpg", "a/1.jpg", "a"]
    found = list(find([Path(name) for name in named], recursive=True))
    assert images(found, tmp_path) == ["a/.3.jpg", "a/1.jpg", "a/b/2.jpg"]


def test_roots_that_are_no_images_are_problems_and_the_rest_is_found(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "notes.txt", "photo.psd")
    roots = [
        tmp_path / name for name in ("gone", "gone.jpg", "notes.txt", "a.jpg/x.jpg", "photo.psd")
    ]
    found = list(find([*roots, tmp_path], recursive=False))
    assert problems(found) == [
        ("gone", "does not exist"),
        ("gone.jpg", "does not exist"),
        ("notes.txt", "is not an image captiv knows"),
        ("x.jpg", "does not exist"),
        ("photo.psd", "is a Photoshop document, which captiv does not read"),
    ]
    assert images(found, tmp_path) == ["a.jpg"]


@posix
def test_fifos_and_sockets_are_no_images(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.png"))
        found = list(find([tmp_path], recursive=True))
    assert images(found, tmp_path) == ["a.jpg"]
    assert problems(found) == []
    assert [folder.unread for folder in found] == [{"special file": 2}]
    named = list(find([tmp_path / "fifo.jpg"], recursive=False))
    assert problems(named) == [("fifo.jpg", "is neither a file nor a folder")]
    assert [p.code for p in named[0].problems] == ["image_unreadable"]


def test_what_people_keep_beside_pictures_is_counted_by_kind(tmp_path: Path) -> None:
    made(
        tmp_path, "a.jpg", "a.CR2", "b.nef", "c.MOV", "deep/d.mp4", "notes.txt", "a.json", ".e.mp4"
    )
    (tmp_path / "folder.psd").mkdir()

    here, below = list(find([tmp_path], recursive=True))[:2]

    assert here.unread == {"camera raw picture": 2, "video": 1}
    assert below.unread == {"video": 1}
    assert images([here, below], tmp_path) == ["a.jpg"]


@posix
def test_links_to_files_are_images_and_links_to_nothing_are_problems(tmp_path: Path) -> None:
    made(tmp_path, "store/1", "in/real.jpg")
    (tmp_path / "in/link.jpg").symlink_to("../store/1")
    (tmp_path / "in/broken.jpg").symlink_to("../store/2")
    (tmp_path / "in/self.jpg").symlink_to("self.jpg")
    (tmp_path / "in/broken.txt").symlink_to("../store/2")
    found = list(find([tmp_path / "in"], recursive=True))
    assert images(found, tmp_path) == ["in/link.jpg", "in/real.jpg"]
    assert sorted(name for name, _ in problems(found)) == ["broken.jpg", "self.jpg"]


@posix
def test_linked_folders_are_followed_and_loops_visited_once(tmp_path: Path) -> None:
    made(tmp_path, "in/z/1.jpg", "out/2.jpg")
    (tmp_path / "in/a_loop").symlink_to("..")
    (tmp_path / "in/b_self").symlink_to(".")
    (tmp_path / "in/c_same").symlink_to("z")
    (tmp_path / "in/d_out").symlink_to("../out")
    found = list(find([tmp_path / "in"], recursive=True))
    assert sorted(images(found, tmp_path)) == ["in/a_loop/out/2.jpg", "in/z/1.jpg"]
    assert problems(found) == []


@posix
def test_without_recursion_a_linked_folder_is_only_a_root(tmp_path: Path) -> None:
    made(tmp_path, "real/1.jpg", "in/2.jpg")
    (tmp_path / "in/link").symlink_to("../real")
    assert images(list(find([tmp_path / "in"], recursive=False)), tmp_path) == ["in/2.jpg"]
    assert images(list(find([tmp_path / "in/link"], recursive=False)), tmp_path) == [
        "in/link/1.jpg"
    ]


@posix
@pytest.mark.parametrize(
    "name",
    [
        b"a b.jpg",
        b"'\"$(x).jpg",
        b"new\nline.jpg",
        "😀.jpg".encode(),
        b"\xff\xfe\xe9.jpg",
        b"-rf.jpg",
    ],
)
def test_any_name_survives(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(b"in \xff\n") / os.fsdecode(name)
    path.parent.mkdir()
    path.write_bytes(b"here")
    (found,) = [folder for folder in find([tmp_path], recursive=True) if folder.images]
    assert found.images == (str(path),)
    assert Path(found.images[0]).read_bytes() == b"here"
    assert os.fsencode(found.images[0]).endswith(b"/in \xff\n/" + name)


@posix
def test_folders_that_may_not_be_read_are_problems(open_folder: Path) -> None:
    made(open_folder, "in/a.jpg", "in/locked/b.jpg", "in/z/c.jpg")
    (open_folder / "in/locked").chmod(0)
    script = (
        "import sys, os, pathlib\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from captiv.images.find import find\n"
        "if not os.path.isdir(os.path.abspath('in')): sys.exit('nobody cannot come here')\n"
        "roots = [pathlib.Path('in'), pathlib.Path('in/locked/b.jpg')]\n"
        "for found in find(roots, recursive=True):\n"
        "    print([i[-5:] for i in found.images], *(p.reason for p in found.problems))\n"
    )
    # It runs as nobody, because permissions do not bind root.
    done = subprocess.run(
        [sys.executable, "-c", "import captiv.images.find\n" + script],
        cwd=open_folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    (open_folder / "in/locked").chmod(0o755)
    if "nobody cannot come here" in done.stderr:
        pytest.skip("the folder for temporary files is closed to other users")
    assert done.stdout.splitlines() == [
        "[] may not be read by this user",
        "['a.jpg']",
        "[] may not be read by this user",
        "['c.jpg']",
    ]


def test_no_roots_give_nothing() -> None:
    assert list(find([], recursive=True)) == []


@posix
def test_what_is_named_and_is_no_folder_has_no_folders_code(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    roots = [tmp_path / "link", tmp_path / "gone.png", Path("/dev/null"), tmp_path / "gone"]

    codes = [p.code for folder in find(roots, recursive=False) for p in folder.problems]

    assert codes == ["image_missing", "image_missing", "image_unreadable", "folder_unreadable"]


_SHORT = """
import os, resource, sys, threading
from pathlib import Path
from captiv.images import find
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
if sys.argv[2] == "passes":
    threading.Timer(0.3, lambda: [os.close(one) for one in held]).start()
for folder in find.find([Path(sys.argv[1])], recursive=True):
    os.write(1, f"{len(folder.images)} {[p.reason for p in folder.problems]}\\n".encode())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize(
    ("what", "said"),
    [("passes", "2 []\n1 []\n"), ("stays", "0 ['cannot be read: Too many open files']\n")],
)
def test_a_folder_that_cannot_be_listed_for_a_moment_is_tried_again(
    tmp_path: Path, what: str, said: str
) -> None:
    (tmp_path / "below").mkdir()
    for name in ("a.png", "b.png", "below/c.png"):
        (tmp_path / name).touch()

    done = subprocess.run(
        [sys.executable, "-c", _SHORT, str(tmp_path), what],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == said, done.stderr


class Flaky:
    """An entry of a folder of which a disk that fails does not say what it is, for some looks."""

    def __init__(self, entry: os.DirEntry[str], looks: dict[str, int]) -> None:
        self._entry, self._looks = entry, looks
        self.name, self.path = entry.name, entry.path

    def _look(self) -> None:
        if self._looks.get(self.name, 0):
            self._looks[self.name] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)

    def is_symlink(self) -> bool:
        self._look()
        return self._entry.is_symlink()

    def is_dir(self) -> bool:
        return self._entry.is_dir()

    def is_file(self) -> bool:
        return self._entry.is_file()


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, **looks: int) -> Iterator[None]:
    real = os.scandir

    @contextmanager
    def scandir(path: str) -> Iterator[list[Flaky]]:
        with real(path) as entries:
            yield [Flaky(entry, looks) for entry in entries]

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        yield


def test_entries_that_the_disk_fails_to_describe_for_a_moment_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(tmp_path, "a.png", "below/b.png")
    (root / "there").symlink_to(root / "below")

    with failing(monkeypatch, **{"a.png": 1, "below": 1}):
        folders = list(find([root], recursive=True))

    assert sorted(images(folders, root)) == ["a.png", "below/b.png"]
    assert problems(folders) == []


def test_entries_that_the_disk_does_not_describe_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(tmp_path, "a.png", "b.png", "below/c.png")
    told = [("b.png", "cannot be read: Input/output error")]

    with failing(monkeypatch, **{"b.png": 9, "below": 9}):
        deep = list(find([root], recursive=True))
        flat = list(find([root], recursive=False))

    assert (images(deep, root), images(flat, root)) == (["a.png"], ["a.png"])
    assert sorted(problems(deep)) == [*told, ("below", told[0][1])]
    assert problems(flat) == told
