from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import Home

from .pages import Page, Visitor


@pytest.fixture
def launch(home: Home) -> Iterator[Callable[..., Page]]:
    """Starts pages over the test's pictures."""
    pages: list[Page] = []

    def start(*options: str, at: Home | None = None) -> Page:
        pages.append(Page(at or home, *options))
        return pages[-1]

    yield start
    for page in pages:
        page.end()


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Pictures for the tests of a module that change nothing."""
    home = Home(tmp_path_factory.mktemp("page"))
    truth = home.scenes(12)
    for at, (name, caption) in enumerate(sorted(truth.items())):
        if at % 3:
            (home.pictures / name).with_suffix(".txt").write_text(caption)
    return home


@pytest.fixture(scope="module")
def page(shared_home: Home) -> Iterator[Page]:
    served = Page(shared_home)
    yield served
    served.end()


@pytest.fixture(scope="module")
def visitor(page: Page) -> Visitor:
    return page.visitor()


@pytest.fixture
def pictures(home: Home) -> Path:
    home.scenes(3, nested=False)
    return home.pictures
