import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from captiv.core.jobs import SessionId
from captiv.errors import StoreBusy, StoreDamaged, StoreError, StoreFull
from captiv.store import Connection, Store, ingest, jobs, runs
from captiv.store.database import disk_kind

from . import scene


def _insert(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO sessions (pid, host, kind, started_ms, seen_ms)"
        " VALUES (7, 'here', 'follower', 1, 1)"
    )


def _sessions(conn: Connection) -> int:
    return int(conn.execute("SELECT count(*) FROM sessions").fetchone()[0])


def test_a_write_that_raises_leaves_nothing(store: Store) -> None:
    def half(conn: Connection) -> None:
        _insert(conn)
        raise KeyError

    with pytest.raises(KeyError):
        store.write(half)

    assert store.read(_sessions) == 0
    store.write(_insert)
    assert store.read(_sessions) == 1


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="readonly") as caught:
        store.read(_insert)

    assert caught.value.hint
    assert store.read(_sessions) == 0


def test_a_store_opened_for_reading_refuses_to_write(database: Path) -> None:
    with Store.open(database, read_only=True) as store, pytest.raises(StoreError, match="reading"):
        store.write(_insert)


def test_a_read_sees_one_state_of_the_table(store: Store) -> None:
    def twice(conn: Connection) -> tuple[int, int]:
        before = _sessions(conn)
        store.write(_insert)
        return before, _sessions(conn)

    assert store.read(twice) == (0, 0)
    assert store.read(_sessions) == 1


def test_reads_do_not_wait_for_a_write(store: Store) -> None:
    def reading_meanwhile(conn: Connection) -> int:
        _insert(conn)
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(store.read(_sessions)))
        reader.start()
        reader.join(timeout=60)
        return seen[0]

    assert store.write(reading_meanwhile) == 0


def test_a_closed_store_says_so(database: Path) -> None:
    store = Store.open(database)
    store.close()
    store.close()

    for call in (store.read, store.write):
        with pytest.raises(StoreError, match="closed"):
            call(_sessions)


async def test_async_calls_return_what_the_functions_return(store: Store) -> None:
    await store.awrite(_insert)

    assert await store.aread(_sessions) == 1


async def test_a_write_that_was_begun_is_finished_when_cancelled(store: Store) -> None:
    begun, may_end = threading.Event(), threading.Event()
    results: list[str] = []

    def slow(conn: Connection) -> str:
        begun.set()
        assert may_end.wait(60)
        _insert(conn)
        return "committed"

    async def write() -> None:
        results.append(await store.awrite(slow))

    async with anyio.create_task_group() as tg:
        tg.start_soon(write)
        await anyio.to_thread.run_sync(begun.wait)
        tg.cancel_scope.cancel()
        may_end.set()

    assert results == ["committed"]
    assert await store.aread(_sessions) == 1


async def test_a_write_that_waits_its_turn_is_done_when_cancelled(store: Store) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        begun.set()
        assert may_end.wait(60)

    async with anyio.create_task_group() as tg:
        tg.start_soon(store.awrite, slow)
        await anyio.to_thread.run_sync(begun.wait)
        tg.start_soon(store.awrite, _insert)
        await anyio.lowlevel.checkpoint()
        tg.cancel_scope.cancel()
        may_end.set()

    assert await store.aread(_sessions) == 1


def test_every_commit_changes_the_data_version(store: Store, database: Path) -> None:
    first = store.data_version()
    assert store.data_version() == first

    store.write(_insert)
    second = store.data_version()
    with Store.open(database) as other:
        other.write(_insert)

    assert len({first, second, store.data_version()}) == 3


def test_only_commits_of_others_change_the_foreign_version(store: Store, database: Path) -> None:
    before = store.foreign_version()
    store.write(_insert)
    assert store.foreign_version() == before

    with Store.open(database) as other:
        other.write(_insert)

    assert store.foreign_version() != before


def test_only_the_holder_checkpoints(database: Path) -> None:
    """A thousand pages are enough for the holder to begin the log anew."""
    log = database.with_name("captiv.db-wal")

    def grow(conn: Connection) -> None:
        for _ in range(300):
            conn.execute(
                "INSERT INTO sessions SELECT NULL, 1, hex(zeroblob(9000)), 'follower', 1, 1, 1"
            )

    with Store.open(database) as store:
        store.write(grow)
        store.write(grow)
        unheeded = log.stat().st_size
        store.become_holder()
        store.write(grow)
        grown = log.stat().st_size
        store.write(grow)

        assert unheeded > 2000 * 4096
        assert log.stat().st_size == grown


def test_a_table_that_others_hold_too_long_is_busy(store: Store, database: Path) -> None:
    store.write(lambda conn: conn.execute("PRAGMA busy_timeout=10"))
    other = sqlite3.connect(database, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            store.write(_insert)
    finally:
        other.close()

    store.write(_insert)


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "captiv.db"
    path.write_bytes(b"not a database at all" * 1000)

    with pytest.raises(StoreDamaged, match=str(path)) as caught:
        Store.open(path)

    assert "away" in (caught.value.hint or "")
    assert path.read_bytes().startswith(b"not a database")


def test_a_damaged_page_is_reported_as_damage(database: Path) -> None:
    with Store.open(database) as store:
        run = scene.enqueue(store, 2000)
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size - size // 2))

    with Store.open(database) as store, pytest.raises(StoreDamaged):
        scene.rows(store, run)


def test_an_error_of_the_sql_is_no_error_of_sqlite_above_the_store(store: Store) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.write(
            lambda conn: conn.execute(
                "INSERT INTO jobs (run_id, path, sidecar, created_ms) VALUES (9, '', '', 1)"
            )
        )


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
box:/export /net nfs4 rw 0 0
/dev/sdb1 /net/local\\040disk ext4 rw 0 0
box:/new /net nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/captiv.db", "ext4"),
        ("/tmpfile", "ext4"),
        ("/net/captiv.db", "nfs"),
        ("/net/local disk/captiv.db", "ext4"),
    ],
)
def test_the_disk_is_the_deepest_and_last_mount_above_the_file(path: str, kind: str) -> None:
    assert disk_kind(Path(path), MOUNTS) == kind


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "captiv-small", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_may_be_emptied(template: Path, small_disk: Path) -> None:
    path = small_disk / "captiv.db"
    path.write_bytes(template.read_bytes())
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 1_000_000)
    with Store.open(path) as store:
        run = scene.enqueue(store, 100)
        with pytest.raises(StoreFull) as caught:
            for i in range(1000):
                store.write(ingest.add_jobs, run.id, scene.places(100, f"/more/{i}"), scene.NOW)
                added = i + 1

        assert str(path) in caught.value.message
        assert scene.counts(store, run.id).pending == 100 + 100 * added

        ballast.unlink()
        session = scene.another_session(store)
        claimed = scene.claim(store, run, session, 10)
        assert scene.finish(store, scene.receive(store, claimed)) == 10
        assert scene.integrity(store) == "ok"


def test_a_table_on_a_full_disk_is_not_called_damaged(template: Path, small_disk: Path) -> None:
    path = small_disk / "captiv.db"
    path.write_bytes(template.read_bytes())
    with pytest.raises(OSError, match="space"):
        (small_disk / "ballast").write_bytes(b"\0" * 3_000_000)

    with pytest.raises(StoreFull):
        Store.open(path)


def test_a_lost_connection_between_threads_is_no_matter(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 400)
    claimed: list[int] = []

    def work() -> None:
        while got := store.write(jobs.claim, run.id, 7, session, scene.NOW):
            claimed.extend(job.id for job in got)
            store.read(runs.get, run.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(set(claimed)) == 400
