"""What a command line that does not parse is answered with."""

from pathlib import Path

import pytest

from .conftest import Cli

GENERATE = ("caption", "generate")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((*GENERATE, "--pods", "0"), "--pods must be a whole number from 1 to 64, not '0'."),
        ((*GENERATE, "--limit", "x"), "--limit must be a whole number from 1, not 'x'."),
        ((*GENERATE, "--temperature", "x"), "--temperature must be a number, not 'x'."),
        ((*GENERATE, "--temperature", "nan"), "must be a number from 0 to 5, not nan."),
        ((*GENERATE, "--num-beams", "0"), "--num-beams must be a whole number from 1 to 32"),
        (("runpod", "create", "--cloud", "x"), "--cloud: 'x' is not one of 'any', 'secure'"),
        (("gui", "launch", "--share-hours", "999"), "must be a number from 0.01 to 168"),
        (("queue", "list", "x"), "[RUN] must be a whole number, not 'x'."),
        ((*GENERATE, "--runpod", "--max-cost", "0"), "in dollars, more than 0, or none, not '0'."),
    ],
)
def test_a_wrong_value_is_answered_with_what_would_do(
    cli: Cli, args: tuple[str, ...], says: str
) -> None:
    ended = cli(*args)

    assert ended.code == 2
    assert says in ended.err
    assert "Input should" not in ended.err
    assert "Value error" not in ended.err


@pytest.mark.parametrize(
    ("args", "says", "command"),
    [
        ((*GENERATE, "--overwrite=some"), "with one of all, yes, not 'some'", "caption generate"),
        (("gui", "launch", "x", "--share=foo"), "one of edit, view, not 'foo'", "gui launch"),
        ((*GENERATE, "--model"), "requires an argument", "caption generate"),
        (("config", "list", "--json=1"), "does not take a value", "config list"),
    ],
)
def test_an_option_without_its_value_and_a_flag_with_a_wrong_one_lead_to_the_right_help(
    cli: Cli, args: tuple[str, ...], says: str, command: str
) -> None:
    ended = cli(*args)

    assert ended.code == 2
    assert says in ended.err
    assert f"Its help: captiv {command} --help" in ended.err


@pytest.mark.parametrize("url", ["ftp://x", "http://u:p@host", "http://10.0.0.1:9", "http://[x"])
def test_a_worker_that_no_token_may_go_to_is_wrong_where_it_was_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    assert cli(*GENERATE, tmp_path, "--worker", url, "--dry-run").code == 2

    monkeypatch.setenv("CAPTIV_WORKER_URL", url)
    assert cli(*GENERATE, tmp_path, "--dry-run").code == 3


@pytest.mark.parametrize("option", ["--extension", "--model", "--torch-dtype", "--worker"])
def test_an_empty_text_is_not_taken_for_the_settings(cli: Cli, tmp_path: Path, option: str) -> None:
    ended = cli(*GENERATE, tmp_path, "--dry-run", option, "")

    assert ended.code == 2
    assert f"{option} is empty." in ended.err
    assert cli("caption", "list", tmp_path, "--extension", "").code == 2
