import atexit
import functools
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from captiv.cli import main
from captiv.store import migrate

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture(autouse=True)
def captiv_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation of the test's own, and no setting from outside."""
    for name in list(os.environ):
        if name.startswith("CAPTIV_") or name == "RUNPOD_API_KEY":
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("CAPTIV_HOME", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    yield home
    logger = logging.getLogger("captiv")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in this process: everything but a process of its own."""

    def run(*args: object, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="captiv-template-"))
    atexit.register(shutil.rmtree, folder)
    path = folder / "captiv.db"
    migrate.ensure(path)
    return path


def ready_database(home: Path) -> Path:
    """Give `home` a job table, copied from one that is migrated once: each migration takes time."""
    database = home / "data" / "captiv.db"
    if not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(_template(), database)
    return database


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "captiv", *(str(arg) for arg in args)]


@pytest.fixture
def process() -> Cli:
    """The command line as a process of its own."""

    def run(*args: object, stdin: str = "") -> Ended:
        done = subprocess.run(
            command(*args),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            cwd=ROOT,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run
