import os
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
