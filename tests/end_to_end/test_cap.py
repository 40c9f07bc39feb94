"""The first `--runpod` at a terminal asks once for a cap; nobody else is asked."""

import subprocess
import tomllib
from typing import Any

import pytest

from tests.support import Home
from tests.terminals import Terminal, generating, terminal

from .test_rented import generate, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

QUESTION = b"Most that a run may cost, in dollars"


def kept(home: Home) -> Any:
    """Return the cap in the settings file; None if there is none."""
    file = home.data / "config.toml"
    settings = tomllib.loads(file.read_text()) if file.exists() else {}
    return settings.get("runpod", {}).get("max_cost")


def asked(opened: Terminal, times: int = 1) -> None:
    opened.wait_for(QUESTION, times)


@pytest.mark.parametrize(
    ("typed", "cap", "line"),
    [
        (["$2.50\n"], 2.5, b"at most $2.50 (--max-cost)"),
        (["\n"], "none", b"at most $4.08 (24 h; no cap is set)"),
        (["much\n", "0\n", "2\n"], 2.0, b"at most $2.00 (--max-cost)"),
    ],
)
def test_the_answer_is_kept_and_asked_no_second_time(
    home: Home, typed: list[str], cap: Any, line: bytes
) -> None:
    home.scenes(3)
    with rented(home):
        with terminal(home, generating(home, "--runpod")) as opened:
            for times, text in enumerate(typed, start=1):
                asked(opened, times)
                opened.type(text)
            assert opened.ended() == 0, opened.said
        with terminal(home, generating(home, "--runpod", "--overwrite")) as again:
            assert again.ended() == 0, again.said

    assert opened.said.count(QUESTION) == len(typed)
    assert line in opened.said.replace(b"\r\n", b" ")
    assert kept(home) == cap
    assert QUESTION not in again.said


@pytest.mark.parametrize(
    "arguments", [("--json",), ("--yes",), ("--quiet",), ("--max-cost", "1"), ("--dry-run",)]
)
def test_who_said_enough_is_not_asked(home: Home, arguments: tuple[str, ...]) -> None:
    home.scenes(3)
    with (
        rented(home),
        terminal(home, generating(home, "--runpod", *arguments)) as opened,
    ):
        assert opened.ended() == 0, opened.said

    assert QUESTION not in opened.said
    assert kept(home) is None


@pytest.mark.parametrize("end", ["stdin", "stdout", "stderr"])
def test_without_a_terminal_on_both_ends_nobody_is_asked(home: Home, end: str) -> None:
    elsewhere: dict[str, Any] = {end: subprocess.DEVNULL}
    home.scenes(3)
    with (
        rented(home),
        terminal(home, generating(home, "--runpod"), **elsewhere) as opened,
    ):
        assert opened.ended() == 0, opened.said

    assert QUESTION not in opened.said
    assert kept(home) is None


def test_a_cap_of_the_settings_is_neither_asked_for_nor_passed(home: Home) -> None:
    home.scenes(3)
    home.env["CAPTIV_RUNPOD_MAX_COST"] = "0.75"
    with (
        rented(home),
        terminal(home, generating(home, "--runpod")) as opened,
    ):
        assert opened.ended() == 0, opened.said
        piped = generate(home, "--overwrite")

    assert QUESTION not in opened.said
    assert "at most $0.7500 (--max-cost)." in piped.err
