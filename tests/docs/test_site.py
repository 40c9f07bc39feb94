"""The site is built of the documents, and every link of what was built leads somewhere."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from .pages import DOCS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OUTSIDE = {"https://zensical.org/"}
"""What the theme says of itself."""


class Built(HTMLParser):
    """What a built page names: anchors, what it links to and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.anchors.update(named[name] for name in ("id", "name") if name in named)
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif "src" in named:
            self.loads.append(named["src"])
        elif tag == "link" and named.get("rel") in ("stylesheet", "icon"):
            self.loads.append(named["href"])


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the documents of `folder`, as scripts/site does."""
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    return tmp_path


def test_every_link_of_the_site_leads_somewhere(copied: Path) -> None:
    done = build(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    site = copied / "site"
    pages = {page: Built(page) for page in site.rglob("*.html")}
    assert len(pages) == len(list(DOCS.glob("*.md"))) + 1  # and the one for what is not there

    for page, built in pages.items():
        for link in (*built.links, *built.loads):
            url = urlsplit(link)
            if url.scheme:
                assert link in OUTSIDE or (url.scheme == "https" and link not in built.loads), link
                continue
            if page.name == "404.html":  # which is shown at any place
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{page.relative_to(site)}: {link}"
            if url.fragment and target in pages:
                anchor = unquote(url.fragment)
                assert anchor in pages[target].anchors, f"{page.relative_to(site)}: {link}"


def test_nothing_on_the_site_comes_from_another_host(copied: Path) -> None:
    assert build(copied).returncode == 0

    for page in (copied / "site").rglob("*.html"):
        loads = Built(page).loads
        assert loads
        assert not [url for url in loads if re.match(r"(https?:)?//", url)], page
    for style in (copied / "site").rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8")


def test_a_page_that_is_missing_fails_the_build(copied: Path) -> None:
    (copied / "docs/cost.md").unlink()

    assert build(copied).returncode != 0
