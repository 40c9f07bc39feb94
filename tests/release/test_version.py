"""One version, wherever it stands."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import captiv
from tests.docs.pages import DOCS, ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_package_and_the_changelog_have_it() -> None:
    assert captiv.__version__ == VERSION
    newest = re.search(r"^## (\S+), (unreleased|\d{4}-\d\d-\d\d)$", text("CHANGELOG.md"), re.M)
    assert newest is not None
    assert newest[1] == VERSION


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_documents_name_no_other() -> None:
    for page in [ROOT / "README.md", ROOT / "docker" / "Dockerfile", *DOCS.glob("*.md")]:
        named = re.findall(
            r"captiv-worker:(\d+\.\d+\.\d+)|^captiv (\d+\.\d+\.\d+)$", page.read_text("utf-8"), re.M
        )
        assert {a or b for a, b in named} <= {VERSION}, page.name


@pytest.mark.parametrize(
    ("tag", "dated", "code"),
    [("v{}", True, 0), ("v{}", False, 1), ("v9.9.9", True, 1), ("{}", True, 1)],
)
def test_a_tag_is_published_only_if_it_is_the_version_and_dated(
    tmp_path: Path, tag: str, dated: bool, code: int
) -> None:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "version-of-tag"
    script.write_text(text("scripts/version-of-tag"))
    (tmp_path / "pyproject.toml").write_text(text("pyproject.toml"))
    when = "2026-12-01" if dated else "unreleased"
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {VERSION}, {when}\n")

    done = subprocess.run(
        ["bash", str(script), tag.format(VERSION)], capture_output=True, text=True, check=False
    )

    assert done.returncode == code
    assert bool(done.stderr) is bool(code)
