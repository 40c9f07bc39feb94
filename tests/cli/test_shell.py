"""captiv in a shell: the tab key, colours, and help that fits.

Shells run with a home of the test's own, and are shown the completion: nothing is installed.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.reference import Page, commands

from .conftest import Cli, command

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="terminals of Unix"),
    pytest.mark.timeout(180),
]

DEADLINE_S = 40.0
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "true"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -u"),
    "fish": (["fish", "--no-config", "-i"], "true"),
}
ESCAPES = re.compile(rb"\x1b(?:\[[?>=\d;]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()=>78].?)")


class Terminal:
    """A terminal of 80 by 24, and what was shown on it."""

    def __init__(self, argv: list[str], cwd: Path, **env: str) -> None:
        self.shown = b""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.child = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=environment(cwd) | env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, pattern: str) -> None:
        """Wait until this is shown, escape sequences and what was wiped out left out."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not re.search(pattern.encode(), re.sub(rb".\x08", b"", ESCAPES.sub(b"", self.shown))):
            assert time.monotonic() < deadline_s, f"{pattern} is not in {self.shown!r}"
            if not self._reads(1.0) and self.child.poll() is not None:
                raise AssertionError(f"it ended with {self.shown!r}")

    def to_the_end(self) -> bytes:
        while self._reads(DEADLINE_S):
            pass
        assert self.child.wait(DEADLINE_S) == 0, self.shown
        return self.shown

    def _reads(self, wait_s: float) -> bool:
        if not select.select([self._ours], [], [], wait_s)[0]:
            return False
        try:
            more = os.read(self._ours, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += more
        return bool(more)

    def close(self) -> None:
        self.child.kill()
        self.child.wait(DEADLINE_S)
        os.close(self._ours)


def environment(home: Path) -> dict[str, str]:
    env = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return env | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "CAPTIV_HOME": str(home / "captiv"),
        "TERM": "xterm-256color",
    }


@contextmanager
def terminal(argv: list[str], cwd: Path, **env: str) -> Iterator[Terminal]:
    shown = Terminal(argv, cwd, **env)
    try:
        yield shown
    finally:
        shown.close()


def completion(shell: str, home: Path) -> str:
    """Return the script that captiv shows for the shell that asks it."""
    done = subprocess.run(
        [shell, "-c", "captiv --show-completion; true"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout, done.stderr
    return done.stdout


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def test_the_tab_key_completes_commands_and_options(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(completion(shell, tmp_path))
    argv, before = SHELLS[shell]

    with terminal(argv, tmp_path) as typed:
        typed.type(f"{before}; source {script.name}; echo re''ady\r")
        typed.until("ready")
        typed.type("captiv cap\t")
        typed.until("captiv caption ")
        typed.type("gen\t")
        typed.until("captiv caption +generate ")
        typed.type("--runp\t")
        typed.until("captiv caption +generate +--runpod")

    assert [path.name for path in tmp_path.glob(".*rc")] == [], "a shell's file was written"


def test_what_the_tab_key_is_told_are_all_commands(tmp_path: Path) -> None:
    """The words that bash is given, as its completion gets them."""
    env = environment(tmp_path) | {"_CAPTIV_COMPLETE": "complete_bash"}
    for words, expected in (
        ("captiv ", "caption config doctor gui model queue quote runpod"),
        ("captiv queue ", "cancel clear list retry status watch"),
        ("captiv runpod s", "start status stop sweep"),
    ):
        env |= {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        told = subprocess.run(["captiv"], env=env, capture_output=True, text=True, check=False)
        assert sorted(told.stdout.split()) == expected.split()


COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")
HELP = ["--help"]


def shown(tmp_path: Path, arguments: list[str], **env: str) -> bytes:
    with terminal(command(*arguments), tmp_path, **env) as typed:
        return typed.to_the_end()


def test_help_has_colours_on_a_terminal(tmp_path: Path) -> None:
    assert COLOUR.search(shown(tmp_path, HELP))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["queue", "list", "--help"]])
def test_no_color_is_heard_though_the_help_comes_first(
    tmp_path: Path, arguments: list[str]
) -> None:
    assert not COLOUR.search(shown(tmp_path, ["--no-color", *arguments]))
    assert not COLOUR.search(shown(tmp_path, [*arguments, "--no-color"]))
    assert not COLOUR.search(shown(tmp_path, arguments, NO_COLOR="1"))


def test_a_dumb_terminal_gets_no_escape_at_all(tmp_path: Path) -> None:
    for arguments in (HELP, ["model", "list"]):
        assert b"\x1b" not in shown(tmp_path, arguments, TERM="dumb")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "env", "escapes"),
    [
        ([], {}, "colours"),
        (["--no-color"], {}, "none but those of the bar"),
        ([], {"NO_COLOR": "1"}, "none but those of the bar"),
        ([], {"TERM": "dumb"}, "none"),
    ],
    ids=["plain", "--no-color", "NO_COLOR", "dumb"],
)
def test_a_run_shows_colours_unless_told_otherwise(
    tmp_path: Path, arguments: list[str], env: dict[str, str], escapes: str
) -> None:
    subprocess.run(
        [sys.executable, "-m", "captiv.testing.scenes", "pictures", "--seed", "1", "--count", "2"],
        cwd=tmp_path,
        check=True,
    )

    line = ["caption", "generate", "pictures", "--model", "shapes", *arguments]
    seen = shown(tmp_path, line, **env)

    assert b"2 captioned" in seen
    assert bool(COLOUR.search(seen)) is (escapes == "colours")
    assert (b"\x1b" in seen) is (escapes != "none")


LONG = {
    "captiv": 35,
    "captiv caption generate": 215,
    "captiv caption replace": 41,
    "captiv caption clear": 25,
    "captiv caption history": 25,
    "captiv caption undo": 26,
    "captiv gui launch": 46,
    "captiv quote": 60,
    "captiv runpod create": 32,
    "captiv runpod logs": 25,
}
"""Help pages that do not fit 24 lines, which docs/systems.md names, and how long they may be."""


@pytest.mark.parametrize("page", list(commands()), ids=lambda page: page.path)
def test_a_help_page_fits_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, page: Page) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)

    lines = cli(*page.path.split()[1:], "--help").out.rstrip().splitlines()

    assert max(map(len, lines)) <= 80
    assert len(lines) <= LONG.get(page.path, 24)
    for name in (p.opts[0] for p in page.parameters if not p.hidden and p.opts[0][0] == "-"):
        assert any(name in line.split() for line in lines), name
