"""Links between documents lead somewhere, and the site has every page."""

import re
from pathlib import Path

import pytest
import yaml

from .pages import DOCS, PAGES, ROOT, prose

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"`((?:docs|scripts|docker|tests|captiv|worker|migrations)/[\w./-]+)`")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", h.lower()).strip()) for h in headings}


def links(page: Path) -> list[str]:
    return [a or b for a, b in _LINK.findall(prose(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in _FILE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists() or list(ROOT.glob(f"{name}.*")), f"{page.name}: {name}"


def test_pages_link_within_the_site_only() -> None:
    """What leads out of docs/ would be dead on the site."""
    for page in DOCS.glob("*.md"):
        for link in links(page):
            assert not link.startswith("../"), f"{page.name}: {link}"


def test_the_site_lists_every_page_once() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, str):
            listed.append(node)
        elif isinstance(node, dict):
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(site["nav"])
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md"))
    assert site["theme"]["font"] is False
