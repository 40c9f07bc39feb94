"""Writes that wait for a table that another process holds."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from captiv.errors import StoreBusy
from captiv.store import Connection, Store
from captiv.store.commit import commit
from tests.support import DEADLINE_S
from tests.world import until

WRITTEN = "INSERT INTO runs (fingerprint, spec, created_ms) VALUES (?, '{}', 1)"


@pytest.fixture
async def patient(database: Path) -> AsyncIterator[Store]:
    """A store that itself waits only a moment for others."""
    store = await to_thread.run_sync(lambda: Store.open(database, holder=True))
    await store.awrite(lambda conn: conn.execute("PRAGMA busy_timeout=10"))
    yield store
    await to_thread.run_sync(store.close)


@contextmanager
def held(database: Path) -> Iterator[sqlite3.Connection]:
    """Hold the table as another process would."""
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield other
    finally:
        other.close()


def insert(conn: Connection, fingerprint: str) -> int:
    return conn.execute(WRITTEN, (fingerprint,)).rowcount


def inserted(conn: Connection) -> list[str]:
    return [row[0] for row in conn.execute("SELECT fingerprint FROM runs")]


@pytest.mark.allow_blocking
async def test_a_table_that_is_busy_is_waited_for(
    patient: Store, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[int] = []

    async def write() -> None:
        written.append(await commit(patient, insert, "a"))

    with held(database) as other:
        async with anyio.create_task_group() as tg:
            tg.start_soon(write)
            await until(lambda: "store busy" in caplog.text)
            assert written == []
            other.execute("ROLLBACK")

    assert written == [1]
    assert await patient.aread(inserted) == ["a"]


@pytest.mark.slow
@pytest.mark.allow_blocking
async def test_a_table_that_stays_busy_is_given_up_and_nothing_of_it_is_kept(
    patient: Store, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with held(database), anyio.fail_after(DEADLINE_S), pytest.raises(StoreBusy):
        await commit(patient, insert, "a")

    assert caplog.text.count("store busy") == 7
    assert await patient.aread(inserted) == []
    assert await commit(patient, insert, "b") == 1


@pytest.mark.allow_blocking
async def test_what_is_wrong_with_a_write_itself_is_not_tried_again(
    patient: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(_conn: Connection) -> None:
        raise ValueError("not busy at all")

    with pytest.raises(ValueError, match="not busy"):
        await commit(patient, wrong)

    assert "store busy" not in caplog.text
