"""A job table of one's own for every test: a copy of one that is migrated once a session."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from captiv.core.jobs import SessionId
from captiv.store import Store, lease, migrate


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "captiv.db"
    migrate.ensure(path)
    return path


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    path = tmp_path / "captiv.db"
    shutil.copy(template, path)
    return path


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database, holder=True) as opened:
        yield opened


@pytest.fixture
def session(store: Store) -> SessionId:
    return store.write(lease.begin_session, 1, "here", "dispatcher", 1)
