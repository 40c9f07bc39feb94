"""An upgrade goes on with old runs: the command line that an older captiv was killed at."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from captiv.core.jobs import RunId, RunState
from captiv.store import Store, runs
from tests.store import released
from tests.support import Home

pytestmark = pytest.mark.timeout(300)

GOING = RunId(6)


@pytest.mark.slow
@pytest.mark.parametrize("version", released.VERSIONS)
def test_the_same_command_goes_on_with_the_run_of_an_older_captiv(home: Home, version: str) -> None:
    home.scripted()
    database = home.data / "data" / "captiv.db"
    released.restore(version, database, home.pictures)
    folder = home.pictures / "going"
    _draw(folder)
    with closing(sqlite3.connect(database)) as conn:
        sidecars = {
            Path(path).with_suffix(".txt").name: text
            for path, text in conn.execute(
                "SELECT jobs.path, text FROM jobs JOIN captions ON captions.id=caption_id"
                " WHERE jobs.run_id=?",
                (GOING,),
            )
        }
    (folder / "g02.txt").write_text(sidecars["g02.txt"])

    ended = home.run("caption", "generate", "--model", "shapes", "-r", str(folder))

    assert ended.code == 5, "a pod of its ledger may still bill"
    assert f"Going on with run {GOING}" in ended.err
    with Store.open(database, read_only=True) as store:
        newest = store.read(runs.page, None, 1)[0]
    assert (newest.id, newest.state) == (GOING, RunState.FINISHED)
    assert (newest.counts.done, newest.counts.failed) == (35, 1)
    assert len(home.worker_keys()) == 33, "what was received before was captioned again"
    written = home.captions("going/*.txt")
    assert len(written) == 35
    assert written["going/g01.txt"] == sidecars["g01.txt"]


def _draw(folder: Path) -> None:
    """Draw the pictures of the run that was killed; the first is the empty file that failed."""
    folder.mkdir()
    for n in range(1, 36):
        Image.new("RGB", (32, 32), (n * 7 % 256, n * 5 % 256, 90)).save(folder / f"g{n:02}.png")
    (folder / "g00.png").touch()
