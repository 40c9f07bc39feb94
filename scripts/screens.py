"""Pictures of the terminal for docs/: real commands, typed in a real terminal, drawn as SVG.

    .venv/bin/python scripts/screens.py [FOLDER]    # into docs/pictures; needs tmux

RunPod is the simulated cloud, and the model the built-in one. tests/docs/test_screens.py looks
whether the pictures still show what the commands say.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from captiv.testing.cloud import running
from captiv.testing.scenes import write_scenes

COLUMNS, ROWS = 100, 40
DEADLINE_S = 120.0
PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Screen:
    """Lines that are typed one after the other, and when the picture is taken."""

    name: str
    lines: tuple[str, ...]
    until: str = ""
    """Once this is shown, while the last line still runs; empty for when it has ended."""


SCREENS = (
    Screen("run-begun", ("captiv caption generate pictures --model shapes",), r" [1-9]\d?/120 "),
    Screen("run-ended", ("captiv queue status", "captiv caption list pictures | head -n 4")),
    Screen(
        "rent",
        (
            "captiv caption generate more --runpod --model shapes --max-cost 0.50",
            "captiv runpod list",
        ),
    ),
    Screen("help", ("captiv --help",)),
)


class Terminal:
    """A shell in tmux, on a server of its own."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._env, self._folder = env, folder
        self._does("new-session", "-d", *size, "bash", "--norc", "--noprofile")
        self.waits(rf"^{re.escape(PROMPT.strip())}$")

    def types(self, line: str) -> None:
        """Type a line, and send it off."""
        self._does("send-keys", "-l", line)
        self._does("send-keys", "Enter")

    def clears(self) -> None:
        """Empty the screen."""
        self._does("send-keys", "C-l")
        self.waits(rf"\A{re.escape(PROMPT.strip())}$")

    def waits(self, pattern: str) -> str:
        """Return the screen, with its colours, as soon as it shows this."""
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            drawn = self._screen()
            plain = Text.from_ansi(drawn).plain
            if re.search(pattern, plain, re.MULTILINE):
                return drawn
            if time.monotonic() > deadline_s:
                sys.exit(f"{pattern} was not shown:\n{plain}")
            time.sleep(0.05)

    def closes(self) -> None:
        """End the shell and the server."""
        self._does("kill-server")

    def _screen(self) -> str:
        shown = self._does("capture-pane", "-p", "-e")
        return "\n".join(line.rstrip() for line in shown.splitlines()).rstrip("\n")

    def _does(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


def main() -> None:
    """Take every picture."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    target.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures():
        (target / f"terminal-{name}.svg").write_text(svg, encoding="utf-8")


def pictures() -> Iterator[tuple[str, str]]:
    """Yield each screen's name and its picture."""
    if shutil.which("tmux") is None:
        sys.exit("Install tmux first.")
    with _terminal() as terminal:
        for screen in SCREENS:
            *before, last = screen.lines
            for line in before:
                terminal.types(line)
                terminal.waits(rf"{re.escape(line[:60])}[\s\S]*^{re.escape(PROMPT.strip())}$")
            terminal.types(last)
            ended = rf"{re.escape(last[:60])}[\s\S]*^{re.escape(PROMPT.strip())}$"
            yield screen.name, drawn(screen.name, terminal.waits(screen.until or ended))
            terminal.waits(ended)
            terminal.clears()


def drawn(name: str, shown: str) -> str:
    """Return the picture of a screen: nothing in it comes from another host."""
    lines = shown.splitlines()
    while lines and Text.from_ansi(lines[-1]).plain.strip() in ("", PROMPT.strip()):
        lines.pop()
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(Text.from_ansi("\n".join(lines)))
    svg = console.export_svg(title="captiv", unique_id=name)
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


@contextmanager
def _terminal() -> Iterator[Terminal]:
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp") as name, running() as cloud:
        folder = Path(name)
        write_scenes(folder / "pictures", 7, 120)
        write_scenes(folder / "more", 8, 6)
        env = {key: os.environ[key] for key in ("LANG", "TMPDIR") if key in os.environ}
        env |= dict(cloud.environment) | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": name,
            "CAPTIV_HOME": str(folder / "home"),
            "CAPTIV_RUNPOD_IMAGE": "captiv/worker:try",
            "LC_ALL": "C.UTF-8",
            "PS1": PROMPT,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        terminal = Terminal(folder, env)
        try:
            yield terminal
        finally:
            terminal.closes()


if __name__ == "__main__":
    main()
