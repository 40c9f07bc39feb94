"""Brings the job table up to date before it is opened.

A start with a current table reads one row, and imports no Alembic. A new or older table is upgraded
under a file lock, so that two first starts do not collide, and in one transaction, so that a crash
leaves the old one; an older one is copied first (``captiv.db.bak-0001``).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

import captiv
from captiv.errors import StoreBusy, StoreError, StoreTooNew
from captiv.store.database import connect
from captiv.store.faults import damaged, translated
from captiv.store.lease import Lease

REVISIONS = (
    *("0001", "0002", "0003", "0004", "0005", "0006", "0007"),
    *("0008", "0009", "0010", "0011", "0012", "0013", "0014", "0015"),
)
"""Every revision of the table, the oldest first."""

HEAD = REVISIONS[-1]

_LOCK_WAIT_S = 60.0


def ensure(path: Path) -> None:
    """Make the job table if there is none, and bring it up to date.

    Raises:
        StoreTooNew: a newer captiv wrote it.
        StoreDamaged: it is no job table.
        StoreBusy: it is older, and an older captiv is at work on it.
        StoreError: it cannot be made or upgraded.
    """
    if _revision(path) == HEAD:
        return
    _make_folder(path.parent)
    with _one_at_a_time(path):
        revision = _revision(path)
        if revision is None:
            connect(path, create=True).close()
            _upgrade(path)
        elif revision != HEAD:
            _upgrade_older(path, revision)


def migrations_folder() -> Path:
    """Return the folder of the migrations: inside an installed captiv, else beside its package."""
    package = Path(captiv.__file__).parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("captiv's migrations are missing.", hint="Install captiv again.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {folder} for the job table cannot be made: {error.strerror}.",
            hint="Set CAPTIV_HOME to a folder that can be written.",
        ) from error


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(f"{path.name}.upgrade"), timeout=_LOCK_WAIT_S, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreBusy(
            f"Another captiv has been upgrading the job table {path} for {_LOCK_WAIT_S:.0f} s.",
            hint="Look for a captiv that hangs, and end it.",
        ) from error
    except OSError as error:
        raise StoreError(
            f"Nothing can be written beside the job table {path}: {error.strerror or error}.",
            hint="Set CAPTIV_HOME to a folder on a local disk that can be written.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _revision(path: Path) -> str | None:
    """Return the revision of the table; None if there is no table yet.

    Raises:
        StoreDamaged: there is something else.
        StoreTooNew: it is none that this captiv knows.
    """
    if not _has_content(path):
        return None
    with translated(path), closing(connect(path, read_only=True)) as conn:
        names = {name for (name,) in conn.execute("SELECT name FROM sqlite_schema")}
        if not names:
            return None
        if "alembic_version" not in names or "jobs" not in names:
            raise damaged(path, "it is a database, but not captiv's")
        row = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        raise damaged(path, "it does not say its version")
    revision = str(row[0])
    if revision not in REVISIONS:
        raise StoreTooNew(
            f"The job table {path} is of version {revision}, written by a newer captiv; "
            f"this is captiv {captiv.__version__}, which knows versions up to {HEAD}."
        )
    return revision


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"The job table {path} cannot be read: {error.strerror}.") from error


def _upgrade_older(path: Path, revision: str) -> None:
    # The same name as Paths.lock_file: whoever dispatches with older statements finishes first.
    with Lease(path.with_suffix(".lock")) as lease:
        if not lease.acquire():
            raise StoreBusy(
                f"The job table {path} needs an upgrade, but an older captiv is at work on it.",
                hint="Let it finish, or stop it, and run the command again.",
            )
        _back_up(path, path.with_name(f"{path.name}.bak-{revision}"))
        _upgrade(path)


def _back_up(path: Path, copy: Path) -> None:
    partial = copy.with_name(f"{copy.name}.partial")
    try:
        with (
            translated(path),
            closing(connect(path, read_only=True)) as source,
            closing(sqlite3.connect(partial)) as target,
        ):
            source.backup(target)
        partial.replace(copy)
    finally:
        partial.unlink(missing_ok=True)


def _connect_to_change(path: Path) -> sqlite3.Connection:
    """Connect without foreign keys: a table that others refer to could not be made anew.

    They are all looked through before the upgrade is committed (`env.py`).
    """
    conn = connect(path)
    conn.execute("PRAGMA foreign_keys=OFF")  # has no effect within a transaction
    # A table that is dropped is kept until the transaction ends: 0.5 GB for a million captions.
    conn.execute("PRAGMA temp_store=FILE")
    return conn


def _upgrade(path: Path) -> None:
    # Alembic and SQLAlchemy take a third of a second to import.
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: _connect_to_change(path), poolclass=sqlalchemy.NullPool
    )
    sqlalchemy.event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.connect() as conn:
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    except sqlalchemy.exc.DBAPIError as error:
        with translated(path):
            raise error.orig or error from error
    finally:
        engine.dispose()
