import json
import subprocess
import sys

import pytest

NEVER = ("alembic", "sqlalchemy", "sqlmodel")

IMPORT = """
import json, sys
from pathlib import Path
from captiv.store import Store
if len(sys.argv) > 1:
    Store.open(Path(sys.argv[1])).close()
print(json.dumps([name for name in sys.modules if "." not in name]))
"""


def _imported(*args: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, *args], capture_output=True, check=True, text=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("opened", [False, True])
def test_a_current_table_is_opened_without_alembic(database: object, opened: bool) -> None:
    imported = _imported(str(database)) if opened else _imported()

    assert "sqlite3" in imported
    assert imported.isdisjoint(NEVER)
