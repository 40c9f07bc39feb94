"""What a release publishes, built as its workflow builds it, and clean places to install it in."""

import os
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.wheels import REPOSITORY as REPOSITORY
from tests.wheels import checked as checked
from tests.wheels import clean_environment as with_persons_home

PINS = REPOSITORY / "constraints" / "cpu.txt"


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment with a home of its own; what pip has downloaded is used again."""
    kept = Path(os.environ.get("HOME", str(home))) / ".cache" / "pip"
    return {"PIP_CACHE_DIR": str(kept)} | with_persons_home(home) | {"HOME": str(home)}


@dataclass(frozen=True, slots=True)
class Release:
    """The two files."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Build wheel and sdist from a clean clone."""
    folder = tmp_path_factory.mktemp("release")
    env = clean_environment(folder)
    checked(["git", "clone", "--quiet", str(REPOSITORY), "clone"], folder, env)
    checked([sys.executable, "-m", "build", "--outdir", str(folder), "clone"], folder, env)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return Release(wheel, sdist)


@dataclass(frozen=True, slots=True)
class Place:
    """A virtual environment that has a release's file and what it needs, and nothing else."""

    folder: Path
    env: dict[str, str]

    def runs(self, *command: str) -> str:
        return checked(
            [str(self.folder / "venv" / "bin" / command[0]), *command[1:]], self.folder, self.env
        )


def installed(what: str, folder: Path) -> Place:
    """Install this requirement into a new environment below `folder`."""
    place = Place(folder, clean_environment(folder))
    venv.create(folder / "venv", with_pip=True)
    place.runs("python", "-m", "pip", "install", "--quiet", "-c", str(PINS), what)
    return place
