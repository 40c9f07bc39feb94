"""A folder captioned by a worker that was started by hand: real processes over real HTTP."""

from pathlib import Path

import pytest

from tests.serving import started_by_hand
from tests.support import Home

pytestmark = pytest.mark.timeout(300)

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.scenes(3, nested=False)
    return home


@pytest.mark.slow
def test_without_a_model_a_run_takes_the_one_that_the_worker_serves(home: Home) -> None:
    asked = ("caption", "generate", "--json", "--worker")
    with started_by_hand(home, TOKEN, "--model", "blip-base") as url:
        dry = home.run(*asked, url, "--dry-run")
        tokenless = home.run(*asked, url)
        ended = home.run(*asked, url, CAPTIV_WORKER_TOKEN=TOKEN)
        named = home.run(*asked, url, "--model", "shapes", "--overwrite", CAPTIV_WORKER_TOKEN=TOKEN)
        settled = home.run(*asked, url, "--dry-run", CAPTIV_MODEL_DEFAULT_MODEL="shapes")

    assert (dry.lines[0]["model"], dry.lines[0]["variant"]) == ("blip", "blip-base")
    assert tokenless.code == 3, tokenless
    assert ended.code == 0, ended
    assert len(home.captions()) == 3
    assert named.code == 4, named
    assert "not shapes" in named.err
    assert settled.lines[0]["model"] == "shapes"


@pytest.mark.slow
def test_a_worker_that_is_not_there_is_said_before_anything_is_done(home: Home) -> None:
    for more in ((), ("--dry-run",)):
        ended = home.run("caption", "generate", "--worker", "http://127.0.0.1:9", *more)

        assert ended.code == 4, ended
        assert "http://127.0.0.1:9 does not answer" in ended.err
    assert not (home.data / "data" / "captiv.db").exists()
