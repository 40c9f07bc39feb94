"""What is in the wheel and in the sdist: every file that git has of them, and nothing else."""

import email
import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import captiv

from .conftest import REPOSITORY, Release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DATA = Path(__file__).with_name("wheel-data.txt")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INFO = f"captiv-{PROJECT['version']}.dist-info"
MAN = f"captiv-{PROJECT['version']}.data/data/share/man/man1/captiv.1"


def tracked(folder: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", folder],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.split())


def in_wheel(release: Release) -> set[str]:
    with zipfile.ZipFile(release.wheel) as wheel:
        assert wheel.testzip() is None
        return set(wheel.namelist())


def test_the_wheel_has_both_packages_and_the_migrations_whole(release: Release) -> None:
    packages = tracked("captiv")
    packages |= {name.removeprefix("worker/") for name in tracked("worker/captiv_worker")}
    packages |= {f"captiv/{name}" for name in tracked("migrations")}
    told = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")

    assert in_wheel(release) == packages | {MAN} | {f"{INFO}/{name}" for name in told}


def test_what_is_no_python_is_listed(release: Release) -> None:
    """Weights, the prompt matrix, templates, what the page loads: a change is made on purpose."""
    found = {n for n in in_wheel(release) if not n.endswith(".py") and not n.startswith(INFO)}
    listed = set(DATA.read_text(encoding="utf-8").split())

    assert found - {MAN} == listed, f"write it into {DATA.relative_to(REPOSITORY)}"
    for needed in (
        "captiv/py.typed",
        "captiv/migrations/script.py.mako",
        "captiv/catalog/joycaption-matrix.json",
        "captiv/gui/templates/page.html",
        "captiv_worker/py.typed",
        "captiv_worker/weights/shapes/model.safetensors",
    ):
        assert needed in listed


def test_no_test_document_or_script_is_in_the_wheel(release: Release) -> None:
    rooms = {name.split("/")[0] for name in in_wheel(release)}

    assert rooms == {"captiv", "captiv_worker", INFO, MAN.split("/")[0]}
    assert not [n for n in in_wheel(release) if re.search(r"(^|/)(tests?_|conftest|docs/)", n)]


def test_the_sdist_has_what_builds_tests_and_explains_it(release: Release) -> None:
    top = f"captiv-{PROJECT['version']}"
    with tarfile.open(release.sdist) as sdist:
        found = {m.name.removeprefix(f"{top}/") for m in sdist.getmembers() if m.isfile()}

    folders = (
        "captiv",
        "worker",
        "migrations",
        "constraints",
        "docker",
        "docs",
        "scripts",
        "tests",
    )
    files = {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "eslint.config.js",
        "mkdocs.yml",
        "package-lock.json",
        "package.json",
        "pyproject.toml",
        "tsconfig.json",
    }
    expected = set().union(*(tracked(folder) for folder in folders)) | files
    assert found == expected | {"PKG-INFO", ".gitignore"}


def test_what_the_wheel_says_of_itself(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as wheel:
        said = email.message_from_bytes(wheel.read(f"{INFO}/METADATA"))
        entries = wheel.read(f"{INFO}/entry_points.txt").decode()

    assert said["Name"] == "captiv"
    assert said["Version"] == PROJECT["version"] == captiv.__version__
    assert said["Requires-Python"] == ">=3.11"
    assert said["License-Expression"] == "MIT"
    needed = [line for line in said.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {re.split(r"[<>=\[; ]", line)[0] for line in needed} == {
        re.split(r"[<>=\[; ]", line)[0] for line in PROJECT["dependencies"]
    }
    assert not [line for line in needed if re.match(r"torch|transformers", line)]
    assert set(said.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert set(re.findall(r"^(\S+) = ", entries, re.MULTILINE)) == {"captiv", "captiv-worker"}


def test_the_readme_is_shown_whole_on_an_index(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as wheel:
        said = wheel.read(f"{INFO}/METADATA").decode()

    assert "\nDescription-Content-Type: text/markdown\n" in said
    assert said.endswith((REPOSITORY / "README.md").read_text(encoding="utf-8"))
