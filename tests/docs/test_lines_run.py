"""The documents' command lines are run, page by page, as a reader would type them.

A page has a folder of its own with pictures, a simulated cloud for RunPod, a chat server without a
model, and for curl the worker that its own lines start. What cannot be done here is done as far as
it can be, and said below: `DRY`, `INSTEAD`. `LEFT` are the lines that are only read, each with the
reason; tests/docs/test_lines.py reads them.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from captiv.testing.chat import ChatServer
from captiv.testing.cloud import Cloud, running
from captiv.testing.ports import Port
from captiv.testing.scenes import write_scenes

from .lines import Line, lines
from .pages import PAGES, blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.allow_blocking]

LEFT = (
    (
        r"pip install '?captiv(\[local\])?'?$|python3 -m venv \.venv$|\. \.venv/bin/activate$",
        "tests/release types them, with the wheel of this tree",
    ),
    (
        r"pip install ('\.\[(local(,quant)?|tagger)\]'|\.|'captiv\[gui\]')$",
        "installs once more what this runs with; tests/release installs the wheel and the sdist",
    ),
    (r"scripts/demo$", "tests/end_to_end runs it in a clean clone"),
    (r"scripts/(test|lint)$", "are what runs this: CI runs both"),
    (r"scripts/site$", "tests/docs/test_site.py builds the site"),
    (r"docker (build|run|push|compose) ", "needs an engine; scripts/image builds without one"),
    (r"(ssh|sky)\b", "needs a machine elsewhere; tests/docker reads what it is told"),
    (
        r"python -m captiv_worker\.prompts joycaption|vllm serve ",
        "asks the hub, and needs vLLM; tests/worker/test_prompts.py has a stand-in",
    ),
    (r"captiv gui launch photos --share", "opens a tunnel to the world; tests/gui has a stand-in"),
)
"""Lines that are not run, and why."""

DRY = r"captiv caption generate (?!.*--dry-run)(?!.*--model shapes)(?!.*--runpod)(?!.*127\.0\.0\.1)"
"""Lines that would download gigabytes or ask a machine that is not there: run with --dry-run."""

INSTEAD = (
    (r"--model blip --host", "--model shapes --host"),  # a worker that needs no download
    (r"CAPTIV_WORKER_TOKEN=\.\.\.$", "CAPTIV_WORKER_TOKEN=${CAPTIV_WORKER_TOKEN:-the-same-token}"),
    (r"= ?\.\.\.$", "=the-same-token"),
    (r"https://gpu\.example\.org", "http://127.0.0.1:8000"),  # the worker that the page starts
    (r"captiv queue cancel 3", "captiv queue cancel 1"),
)
"""What stands for a name that the reader has to fill in."""

BEFORE = (
    (r"captiv caption replace", "printf 'a dog' > photos/a.txt"),  # the lines above cleared it
    (r"captiv caption undo photos/a.jpg", "captiv caption set photos/a.jpg 'a cat'"),
)
"""What a reader has done in between."""

ENDS = (
    (r"captiv queue cancel", (0, 2)),
    (r"captiv caption generate .*--dry-run", (0, 4)),
    (r"captiv caption generate photos --worker http://127\.0\.0\.1:\d+$", (0, 4)),
)
"""Exit codes besides 0: a run that has ended cannot be cancelled; a machine without the GPU, the
model or the worker that a line names says so when it is run dry; a tunnel has no end here."""

ANSWERS_Y = "y\n" * 3
SECRETS = ((r"captiv config set worker\.tokens$", "gpu.example.org=the-same-token"),)
"""What is typed for a secret that has a form; for any other, y."""
SCRIPTED = ("--engine", "captiv.testing.engine:ScriptedEngine")
HELD_LOAD = """
import time
from pathlib import Path
from captiv_worker.loader import Loader

load, loads = Loader.load, []


def held(self):
    loads.append(self)
    while len(loads) > 1 and Path({hold!r}).exists():
        time.sleep(0.01)
    return load(self)


Loader.load = held
"""
"""What Python runs first in a worker: its second model loads for as long as a file is there."""

VOLATILE = {"boot_id", "engine_s", "caption", "tokens", "batch", "loading", "finish", "worker"}
BY_PLACE = {"engines", "permits"}
"""What is installed beside captiv's worker, and how mixed the images before were, decide them."""


class Reader:
    """Somebody who types a page's lines, one after the other."""

    def __init__(self, folder: Path, cloud: Cloud, chat: ChatServer) -> None:
        self.folder, self._cloud, self._chat = folder, cloud, chat
        self._stack = ExitStack()
        self._port = self._stack.enter_context(closing(Port())).number
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("CAPTIV_", "RUNPOD_"))}
        bin_folder = str(Path(sys.executable).parent)
        self.env = keep | {
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "CAPTIV_HOME": str(folder / "home"),
            "CAPTIV_RUNPOD_IMAGE": "captiv/worker:docs",
            "CAPTIV_RUNPOD_BOOTSTRAP": "image",
            "HF_HUB_OFFLINE": "1",
            "BROWSER": "true",
            "NO_COLOR": "1",
            **dict(cloud.environment),
        }
        self.of_the_worker: dict[str, str] = {}
        """What else is in the environment of the worker that a page starts."""

    def __enter__(self) -> "Reader":
        for place, count in (("photos", 4), ("photos/below", 2)):
            write_scenes(self.folder / place, 1, count)
        (self.folder / "photos/scene-0001.png").rename(self.folder / "photos/a.jpg")
        for name in ("scene0.png", "scene1.png", "scene2.png", "photo.jpg"):
            write_scenes(self.folder / "one", len(name) + ord(name[5]), 1)
            (self.folder / "one/scene-0001.png").rename(self.folder / name)
        (self.folder / "notes.txt").write_text("no image")
        (self.folder / "photos/a.txt").write_text("a dog")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def types(self, line: Line) -> str:
        """Type a line, and return what it showed; fails if it did not end as it should."""
        text = self._as_typed(line.text)
        for before in (b for pattern, b in BEFORE if re.match(pattern, text)):
            subprocess.run(["bash", "-c", before], cwd=self.folder, env=self.env, check=True)
        if text.startswith("export "):
            self._export(text)
            return ""
        if text.startswith("captiv-worker"):
            self._stack.enter_context(self._worker(text))
            return ""
        if text.startswith("captiv gui launch"):
            return self._page(text)
        return self._runs(text, line)

    def _as_typed(self, text: str) -> str:
        for pattern, instead in INSTEAD:
            text = re.sub(pattern, instead, text)
        if "--protocol openai" in text:
            text = re.sub(r"http://127\.0\.0\.1:\d+", self._chat.url, text)
        text = re.sub(r"127\.0\.0\.1:(8000|8125)", f"127.0.0.1:{self._port}", text)
        text = re.sub(r"--port \d+", f"--port {self._port}", text)
        if "POD" in text.split():
            text = text.replace("POD", self._cloud.pods()[-1].id)
        return f"{text} --dry-run" if re.match(DRY, text) else text

    def _export(self, text: str) -> None:
        name = text.removeprefix("export ").partition("=")[0]
        shell = f'{text}; printf %s "${name}"'
        done = subprocess.run(
            ["bash", "-c", shell], env=self.env, capture_output=True, text=True, check=True
        )
        assert done.stdout
        self.env[name] = done.stdout

    @contextmanager
    def _worker(self, text: str) -> Iterator[None]:
        with subprocess.Popen(
            shlex.split(text),
            env=self.env | self.of_the_worker,
            stdout=subprocess.PIPE,
            cwd=self.folder,
        ) as child:
            assert child.stdout is not None
            assert json.loads(child.stdout.readline())["event"] == "listening"
            deadline = time.monotonic() + 60
            health = ["curl", "-sf", f"http://127.0.0.1:{self._port}/health"]
            while subprocess.run(health, capture_output=True, check=False).returncode:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield
            child.terminate()

    def _page(self, text: str) -> str:
        with subprocess.Popen(
            shlex.split(f"{text} --no-open --port 0"),
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
        ) as child:
            assert child.stdout is not None
            shown = ""
            while "http://" not in shown and (more := child.stdout.readline()):
                shown += more
            child.send_signal(signal.SIGINT)
            shown += child.stdout.read()
        assert "http://127.0.0.1:" in shown
        assert child.returncode in (0, 130)
        return shown

    def _runs(self, text: str, line: Line) -> str:
        """Run a line at a terminal of its own, at which somebody answers with y."""
        if text.startswith("captiv config set"):  # a secret, asked for unseen: what waits is lost
            typed = next((secret for pattern, secret in SECRETS if re.match(pattern, text)), "y")
            text = f"echo {typed} | {text}"
        ours, theirs = os.openpty()
        try:
            os.write(ours, ANSWERS_Y.encode())
            done = subprocess.run(
                # A last command that is alone would take bash's place, and no shell would be there
                # for `captiv --install-completion` to find.
                ["bash", "-c", f"{text}\nexit $?"],
                cwd=self.folder,
                env=self.env,
                stdin=theirs,
                capture_output=True,
                text=True,
                timeout=120,
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        allowed = next((codes for pattern, codes in ENDS if re.search(pattern, text)), (0,))
        assert done.returncode in allowed, f"{line}\n{text}\n{done.stdout}\n{done.stderr}"
        lacking = "obstacle" in done.stdout or "does not answer" in done.stderr
        assert done.returncode != 4 or lacking, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running(worker_args=SCRIPTED) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


@pytest.fixture
def reader(tmp_path: Path, cloud: Cloud, chat: ChatServer) -> Iterator[Reader]:
    with Reader(tmp_path, cloud, chat) as reader:
        yield reader


def run_here(page: Path) -> list[Line]:
    mine = (line for line in lines() if line.page == page)
    return [line for line in mine if not any(re.match(p, line.text) for p, _ in LEFT)]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if run_here(page)], ids=lambda page: page.name
)
def test_the_lines_of_a_page_can_be_typed(page: Path, reader: Reader, cloud: Cloud) -> None:
    for line in run_here(page):
        reader.types(line)

    assert not cloud.pods_alive(), "a page that was read to its end leaves a pod that bills"


def test_a_worker_answers_curl_as_the_page_shows(
    tmp_path: Path, cloud: Cloud, chat: ChatServer
) -> None:
    """Each answer of docs/wire-protocol.md, but for the caption and what differs by machine.

    That of the guard is left out: the worker that the page starts has none. Its other model is
    loaded once all lines were typed, for one of them says what a worker answers meanwhile.
    """
    hold, first = tmp_path / "hold", tmp_path / "first"
    hold.touch()
    first.mkdir()
    (first / "sitecustomize.py").write_text(HELD_LOAD.format(hold=str(hold)))
    page = next(page for page in PAGES if page.name == "wire-protocol.md")
    shown = [
        json.loads(row)
        for block in blocks(page)
        if block.language in ("json", "")
        for row in block.text.splitlines()
        if row.startswith("{") and not re.search(r"…|event|idle_s", row)
    ]
    answered = []
    with Reader(tmp_path, cloud, chat) as reader:
        before = os.environ.get("PYTHONPATH", "")
        reader.of_the_worker["PYTHONPATH"] = f"{first}{os.pathsep}{before}".rstrip(os.pathsep)
        for line in run_here(page):
            said = reader.types(line)
            if line.program == "curl" and "/api/guard" not in line.text:
                answered += [json.loads(row) for row in said.splitlines() if row.startswith("{")]
        hold.unlink()

    answered = [row for row in answered if "models" not in row]
    for expected, came in zip(shown, answered, strict=True):
        assert compared(came) == compared(expected)


def compared(reply: dict[str, object]) -> dict[str, object]:
    made_up = re.fullmatch(r"[0-9a-f]{32}", str(reply.get("key")))
    left = VOLATILE | BY_PLACE | ({"key"} if made_up else set())
    return {name: value for name, value in reply.items() if name not in left}


def test_few_lines_are_not_run_each_for_one_reason_that_counts() -> None:
    left = {line: [p for p, _ in LEFT if re.match(p, line.text)] for line in lines()}

    used = {pattern for patterns in left.values() for pattern in patterns}
    assert used == {pattern for pattern, _ in LEFT}
    assert all(len(patterns) <= 1 for patterns in left.values())
    assert len({line.text for line, patterns in left.items() if patterns}) <= 28
