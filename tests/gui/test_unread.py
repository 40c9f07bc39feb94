"""A folder that cannot be read for a moment loses nothing of what the page knows of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from captiv.editing import Sidecars
from captiv.gui.album import Album
from captiv.gui.entry import ImageId
from captiv.gui.scan import Reader
from captiv.images.find import FOLDER_UNREADABLE, FindProblem
from captiv.settings import Settings
from captiv.store import Store
from captiv.testing.scenes import write_scenes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "captiv.db") as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for name in ("a", "b", "c"):
        write_scenes(folder / name, 1, 2, nested=False)
    return folder


def read(reader: Reader, album: Album) -> int:
    """Read the tree once; return how many images are gone."""
    order: list[ImageId] = []
    problems: list[FindProblem] = []
    for chunk in reader.pass_(dict(album.entries)):
        order += [entry.id for entry in chunk.entries]
        problems += chunk.problems
        album.add(chunk)
    return len(album.close(order, problems))


@pytest.mark.allow_blocking
def test_an_opened_folder_that_vanishes_for_a_moment_stays(root: Path, store: Store) -> None:
    album, reader = Album(str(root)), Reader(str(root), Sidecars(Settings(), None, None), store)
    read(reader, album)
    order = list(album.entries)
    away = root.rename(root.with_name("away"))

    assert read(reader, album) == 0
    assert list(album.entries) == order
    ((path, reason, code),) = [(p.path, p.reason, p.code) for p in album.problems]
    assert (path, reason, code) == (str(root), "does not exist", FOLDER_UNREADABLE)

    away.rename(root)
    assert read(reader, album) == 0
    assert album.problems == []
    assert list(album.entries) == order


@pytest.mark.allow_blocking
def test_a_folder_that_is_deleted_is_gone(root: Path, store: Store) -> None:
    album, reader = Album(str(root)), Reader(str(root), Sidecars(Settings(), None, None), store)
    read(reader, album)
    (root / "b").rename(root.with_name("elsewhere"))

    assert read(reader, album) == 2
    assert len(album.entries) == 4
