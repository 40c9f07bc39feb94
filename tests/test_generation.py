"""One more setting of generation is declared in one file and obeyed in another.

The two files are changed in a copy of the sources; everything else runs from there as it is.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from captiv.testing.chat import ChatServer
from tests.gui.pages import PATIENCE_S, Page
from tests.support import SCRIPTED, Home, until

ROOT = Path(__file__).parent.parent
FURTHER = "encoder_no_repeat_ngram_size"
FLAG = "--encoder-no-repeat-ngram-size"
HELP = "Longest run of tokens copied."

DECLARED = f"""
    {FURTHER}: Annotated[
        int | None,
        Field(ge=0, le=20, title="No copies", description="{HELP}"),
        InChat(("{FURTHER}",), idle=0),
    ] = None

    def over(self"""
OBEYED = f"""
    if generation.{FURTHER}:
        chosen["{FURTHER}"] = generation.{FURTHER}
    return chosen
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources that has one setting more."""
    copy = tmp_path_factory.mktemp("sources")
    for package in (ROOT / "captiv", ROOT / "worker" / "captiv_worker"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, copy / package.name, ignore=ignored)
    shutil.copytree(ROOT / "migrations", copy / "migrations")
    change(copy / "captiv" / "wire.py", "\n    def over(self", DECLARED)
    decoding = copy / "captiv_worker" / "engines" / "decoding.py"
    change(decoding, "\n    return chosen\n", OBEYED)
    return copy


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, file
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def wider(home: Home, sources: Path) -> Home:
    """Return an installation of the copy."""
    home.env["PYTHONPATH"] = str(sources)
    home.scenes(1, nested=False)
    return home


@pytest.fixture
def page(wider: Home) -> Iterator[Page]:
    page = Page(wider)
    try:
        yield page
    finally:
        page.end()


@pytest.mark.slow
def test_the_command_line_offers_and_checks_it(wider: Home) -> None:
    told = wider.run("caption", "generate", "--help")
    wrong = wider.run("caption", "generate", FLAG, "21")

    assert [line for line in told.out.splitlines() if FLAG in line and HELP in line], told
    assert wrong.code == 2
    assert f"{FLAG} must be a whole number from 0 to 20, not 21." in wrong.err


@pytest.mark.slow
def test_a_chat_server_is_told_it_under_its_name_where_it_changes_something(wider: Home) -> None:
    with ChatServer() as server:
        asked = ("--protocol", "openai", "--worker", server.url, "--overwrite", str(wider.pictures))
        for value in ("3", "0"):
            ended = wider.run("caption", "generate", *asked, FLAG, value)
            assert ended.code == 0, ended

    assert [call.body.get(FURTHER) for call in server.calls] == [3, None]


@pytest.mark.slow
def test_the_settings_hold_it_and_a_run_goes_by_them(wider: Home) -> None:
    wrong = wider.run("config", "set", f"generation.{FURTHER}", "21")
    assert "from 0 to 20" in wrong.err
    assert wider.run("config", "set", f"generation.{FURTHER}", "4").code == 0

    dry = wider.generate("--dry-run", "--json")

    assert dry.lines[0]["generation"][FURTHER] == 4, dry


@pytest.mark.slow
def test_the_page_asks_for_it_and_takes_it(page: Page) -> None:
    visitor = page.visitor()
    html = visitor.http.get("/").text
    plan = visitor.http.post("/api/plans", json={"model": "shapes", "generation": {FURTHER: 5}})

    field = f'id="wish-{FURTHER}" name="{FURTHER}" type="number" min="0" max="20" data-generation>'
    assert field in html
    assert f'title="{HELP}">No copies</label>' in html
    assert plan.json()["generation"][FURTHER] == 5, plan.text


def start(wider: Home, *line: str) -> subprocess.Popen[str]:
    """Start Python in a folder that holds no captiv, so that the copy is found."""
    return subprocess.Popen(
        [sys.executable, *line],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=wider.env,
        cwd=wider.pictures,
        text=True,
    )


def test_it_travels_and_the_worker_checks_it(wider: Home) -> None:
    worker = start(wider, "-m", "captiv_worker", "--stdin-token", "--engine", SCRIPTED)
    try:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write("secret\n")
        worker.stdin.flush()
        url = json.loads(worker.stdout.readline())["url"]
        token = {"Authorization": "Bearer secret"}
        with httpx2.Client(base_url=url, headers=token, timeout=PATIENCE_S) as client:
            until(lambda: client.get("/health").json()["status"] == "ready")
            (picture,) = wider.pictures.glob("*.*")
            image = {"image": picture.read_bytes()}
            taken = client.post("/api/caption", data={FURTHER: "6"}, files=image)
            wrong = client.post("/api/caption", data={FURTHER: "21"}, files=image)
    finally:
        worker.kill()
        worker.communicate()

    assert taken.status_code == 200, taken.text
    assert wrong.status_code == 422
    assert f"generation.{FURTHER}" in wrong.json()["detail"]


def test_the_engine_obeys_it(wider: Home) -> None:
    code = (
        "from captiv.wire import Generation; from captiv_worker.engines.decoding import settings;"
        f"print(settings(Generation({FURTHER}=7), 8)[{FURTHER!r}])"
    )
    out, _ = start(wider, "-c", code).communicate(timeout=PATIENCE_S)

    assert out == "7\n"
