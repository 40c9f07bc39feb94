import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from captiv import __version__
from captiv.core.jobs import Failure
from captiv.errors import StoreBusy, StoreDamaged, StoreError, StoreTooNew
from captiv.store import Lease, Store, jobs, lease, migrate, pods, runs, tables

from . import released, scene


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        yield conn


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_folder()))
    return ScriptDirectory.from_config(config)


def _checks(sql: str) -> list[str]:
    """The named CHECKs of a CREATE TABLE, blanks aside."""
    found = []
    for match in re.finditer(r"CONSTRAINT (\w+) CHECK \(", sql):
        end = match.end()
        depth = 1
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        body = re.sub(r"\s+", "", sql[match.end() : end - 1])
        found.append(f"{match[1]}: {body}")
    return sorted(found)


def _schema(conn: sqlite3.Connection) -> dict[str, object]:
    """Everything that is declared, in whatever words and order."""
    found: dict[str, object] = {}
    for name, kind, strict in conn.execute(
        "SELECT name, type, strict FROM pragma_table_list WHERE schema='main'"
        " AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    ):
        (sql,) = conn.execute("SELECT sql FROM sqlite_schema WHERE name=?", (name,)).fetchone()
        indexes = {}
        for index, unique, origin, partial in conn.execute(
            'SELECT name, "unique", origin, partial FROM pragma_index_list(?)', (name,)
        ).fetchall():
            columns = conn.execute(
                'SELECT name, "desc" FROM pragma_index_info(?) JOIN pragma_index_xinfo(?)'
                " USING (seqno, cid, name) ORDER BY seqno",
                (index, index),
            ).fetchall()
            (text,) = conn.execute(
                "SELECT sql FROM sqlite_schema WHERE name=?", (index,)
            ).fetchone()
            indexes[index] = (unique, origin, partial, columns, text and " ".join(text.split()))
        found[name] = {
            "kind": (kind, strict, "AUTOINCREMENT" in sql),
            "columns": conn.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall(),
            "keys": sorted(
                row[2:] for row in conn.execute("SELECT * FROM pragma_foreign_key_list(?)", (name,))
            ),
            "checks": _checks(sql),
            "indexes": indexes,
        }
    for name, sql in conn.execute("SELECT name, sql FROM sqlite_schema WHERE type='trigger'"):
        found[name] = " ".join(sql.split())
    return found


def test_the_migrations_lead_to_the_declared_tables(template: Path, tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata = SQLModel.metadata
    metadata.create_all(engine, tables=[metadata.tables[n] for n in _NAMES])
    engine.dispose()

    with _opened(template) as migrated, _opened(tmp_path / "declared.db") as declared:
        schema = _schema(migrated)
        assert schema == _schema(declared)

    assert set(_NAMES) <= set(schema)
    assert all(schema[name]["kind"][1] for name in _NAMES)  # type: ignore[index]


_MODELS = (
    tables.Session,
    tables.Run,
    tables.Caption,
    tables.Job,
    tables.Pod,
    tables.PodUse,
    tables.Start,
    tables.Edit,
    tables.Standing,
)
_NAMES = [model.__tablename__ for model in _MODELS]


def test_the_head_is_alembics_head() -> None:
    scripts = _scripts()

    assert scripts.get_heads() == [migrate.HEAD]
    assert [s.revision for s in scripts.walk_revisions()][::-1] == list(migrate.REVISIONS)


def test_migrations_are_named_by_their_revision() -> None:
    for script in _scripts().walk_revisions():
        assert re.fullmatch(rf"{script.revision}_[a-z_]+\.py", Path(script.path).name)


def test_a_first_start_makes_the_folder_and_the_table(tmp_path: Path) -> None:
    path = tmp_path / "new 100%" / "data" / "captiv.db"

    with Store.open(path) as store:
        assert scene.integrity(store) == "ok"
    assert not list(path.parent.glob("*.bak*"))


START = """
import sys
from pathlib import Path
from captiv.store import Store
print("here", flush=True)
sys.stdin.readline()
with Store.open(Path(sys.argv[1])) as store:
    print(store.read(lambda c: c.execute("SELECT count(*) FROM jobs").fetchone()[0]))
"""


def _start_at_once(path: Path, cwd: Path) -> list[tuple[str, str]]:
    """Open the table in three processes; return what each says of its number of jobs."""
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        for _ in range(3)
    ]
    for start in starts:
        assert start.stdout is not None
        assert start.stdout.readline() == "here\n"
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("go\n")
        start.stdin.flush()
    return [start.communicate() for start in starts]


@pytest.mark.slow
def test_first_starts_at_once_make_one_table(tmp_path: Path) -> None:
    assert _start_at_once(tmp_path / "captiv.db", tmp_path) == [("0\n", "")] * 3


def test_a_crash_during_the_first_start_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "captiv.db"
    with _opened(path) as conn:
        conn.execute("PRAGMA journal_mode=WAL")

    with Store.open(path) as store:
        assert scene.integrity(store) == "ok"


def test_a_newer_table_is_refused_in_words_and_left_alone(database: Path) -> None:
    with _opened(database) as conn:
        conn.execute("UPDATE alembic_version SET version_num='0042'")

    with pytest.raises(StoreTooNew) as caught:
        Store.open(database)

    for said in ("0042", migrate.HEAD, __version__):
        assert said in caught.value.message
    with _opened(database) as conn:
        assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == ("0042",)


@pytest.mark.parametrize(
    "sql", ["CREATE TABLE birds (name TEXT)", "CREATE TABLE alembic_version (version_num TEXT)"]
)
def test_another_programs_database_is_refused(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "captiv.db"
    with _opened(path) as conn:
        conn.execute(sql)

    with pytest.raises(StoreDamaged, match="not captiv's"):
        Store.open(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(StoreError, match="file/data"):
        Store.open(tmp_path / "file" / "data" / "captiv.db")


_FIRST_TABLES = ("sessions", "runs", "captions", "jobs")


def _everything(conn: sqlite3.Connection, columns: dict[str, str]) -> dict[str, object]:
    return {
        name: conn.execute(f"SELECT {columns[name]} FROM {name} ORDER BY id").fetchall()
        for name in _FIRST_TABLES
    }


def _columns(conn: sqlite3.Connection) -> dict[str, str]:
    """The columns of the first tables, as SQL."""
    return {
        name: ", ".join(row[1] for row in conn.execute(f"PRAGMA table_info({name})"))
        for name in _FIRST_TABLES
    }


def _filled(path: Path) -> None:
    """Fill a table of today: jobs in every state that a first captiv could leave."""
    with Store.open(path, holder=True) as store:
        run = scene.enqueue(store, 5)
        session = store.write(lease.begin_session, 1, "here", "dispatcher", scene.NOW)
        claimed = scene.claim(store, run, session, 3)
        scene.receive(store, claimed[:1])
        store.write(jobs.fail, [Failure(claimed[1], "image", "it is torn")], scene.NOW)


def test_a_table_without_pods_gets_them_and_keeps_its_rows(tmp_path: Path, template: Path) -> None:
    path, today = tmp_path / "captiv.db", tmp_path / "today.db"
    shutil.copy(template, today)
    _filled(today)
    with closing(released.empty("0001", path)) as conn:
        columns = _columns(conn)
        conn.execute("ATTACH ? AS today", (str(today),))
        with conn:
            for name, some in columns.items():
                conn.execute(f"INSERT INTO {name} ({some}) SELECT {some} FROM today.{name}")
        before = _everything(conn, columns)

    with Store.open(path) as store:
        assert store.read(_everything, columns) == before
        assert store.read(runs.check_counts) == []
        assert store.read(pods.live, "runpod") == []
        assert scene.integrity(store) == "ok"

    with _opened(path) as upgraded, _opened(template) as fresh:
        assert _schema(upgraded) == _schema(fresh)
    with _opened(path.with_name("captiv.db.bak-0001")) as copy:
        assert _everything(copy, columns) == before


_NEXT = f"{int(migrate.HEAD) + 1:04d}"


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A captiv with one more migration: an installation of its own, with the real code."""
    home = tmp_path / "installed 100%"
    package = Path(migrate.__file__).parents[1]
    shutil.copytree(package, home / "captiv", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(migrate.migrations_folder(), home / "captiv" / "migrations")
    code = home / "captiv" / "store" / "migrate.py"
    known = f'"{migrate.HEAD}")'
    text = code.read_text(encoding="utf-8")
    assert known in text
    code.write_text(text.replace(known, f'"{migrate.HEAD}", "{_NEXT}")'), encoding="utf-8")
    (home / "captiv" / "migrations" / "versions" / f"{_NEXT}_more.py").write_text(
        "from alembic import op\n"
        f"revision = '{_NEXT}'\n"
        f"down_revision = '{migrate.HEAD}'\n"
        "def upgrade():\n"
        "    op.execute('ALTER TABLE jobs ADD COLUMN more TEXT')\n"
        "    op.execute('CREATE TABLE more (id INTEGER) STRICT')\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(home))


OPEN = """
import sys
from pathlib import Path
from captiv.errors import StoreError
from captiv.store import Store
try:
    Store.open(Path(sys.argv[1])).close()
    print("opened")
except StoreError as error:
    print(type(error).__name__)
"""


def _open_with_next(path: Path, cwd: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], capture_output=True, check=True, text=True, cwd=cwd
    ).stdout.strip()


@pytest.mark.slow
@pytest.mark.usefixtures("next_version")
def test_an_older_table_is_copied_then_upgraded_once(database: Path, tmp_path: Path) -> None:
    with Store.open(database) as store:
        scene.enqueue(store, 3)

    assert _start_at_once(database, tmp_path) == [("3\n", "")] * 3

    copy = database.with_name(f"captiv.db.bak-{migrate.HEAD}")
    with _opened(database) as upgraded, _opened(copy) as old:
        query = "SELECT version_num, (SELECT count(*) FROM jobs) FROM alembic_version"
        assert upgraded.execute(query).fetchone() == (_NEXT, 3)
        assert upgraded.execute("SELECT count(more) FROM jobs").fetchone() == (0,)
        assert old.execute(query).fetchone() == (migrate.HEAD, 3)
    with pytest.raises(StoreTooNew):
        Store.open(database)


@pytest.mark.usefixtures("next_version")
def test_an_older_table_that_is_at_work_is_not_upgraded(database: Path, tmp_path: Path) -> None:
    with Lease(database.with_suffix(".lock")) as lease:
        assert lease.acquire()
        assert _open_with_next(database, tmp_path) == StoreBusy.__name__

    Store.open(database).close()


@pytest.mark.usefixtures("next_version")
def test_an_upgrade_that_fails_leaves_the_older_table(database: Path, tmp_path: Path) -> None:
    with _opened(database) as conn:
        conn.execute("CREATE TABLE more (id INTEGER)")

    assert _open_with_next(database, tmp_path) == StoreError.__name__

    with _opened(database) as conn:
        columns = [row[1] for row in conn.execute("PRAGMA table_info(jobs)")]
        assert "more" not in columns
    Store.open(database).close()
