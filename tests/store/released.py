"""Job tables as released versions left them; `data/make_job_table.py` says how each was made."""

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config

from captiv.store import migrate

DATA = Path(__file__).parent / "data"
VERSIONS = sorted(path.stem.removeprefix("captiv-") for path in DATA.glob("captiv-*.sql"))
_PICTURES = "/pictures"


def restore(version: str, database: Path, pictures: Path) -> None:
    """Make the job table that this version left, its images in this folder."""
    dump = (DATA / f"captiv-{version}.sql").read_text(encoding="utf-8")
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as conn:
        conn.executescript(dump.replace(_PICTURES, str(pictures)))


def empty(revision: str, path: Path) -> sqlite3.Connection:
    """Make an empty job table of this revision, and open it for writing."""
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_folder()))
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", poolclass=sqlalchemy.NullPool)
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, revision)
    engine.dispose()
    return sqlite3.connect(path)
