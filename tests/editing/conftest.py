import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from captiv.store import Store


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("table") / "captiv.db"
    with Store.open(path) as opened:
        yield opened


@pytest.fixture
def unsafe_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a disk on which the names in a folder cannot be forced to it."""
    real = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)


@contextmanager
def sealed(folder: Path) -> Iterator[None]:
    """Keep everybody from making or replacing a file in a folder."""
    if subprocess.run(["chattr", "+i", folder], capture_output=True).returncode:
        folder.chmod(0o500)
        if os.geteuid() == 0:
            pytest.skip("nothing keeps this user from writing")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], capture_output=True)
        folder.chmod(0o700)
