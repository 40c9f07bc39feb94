import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from captiv import __version__
from captiv.cli import app
from captiv.cli.invocation import begin, current
from captiv.errors import ConfigurationError, NoWorker, StoreFull, UsageError

from .conftest import ROOT, Cli, command
from .test_queue import make_run

HEAVY = ("torch", "transformers", "alembic", "sqlalchemy", "sqlmodel", "httpx2", "PIL", "pydantic")


def imported(*commands: str) -> set[str]:
    """Return which heavy packages these commands import."""
    code = (
        "import sys; from captiv.cli import main; [main(c.split()) for c in sys.argv[1:]];"
        f"print('HEAVY', *(m for m in {HEAVY!r} if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *commands],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stderr.rpartition("HEAVY")[2].split())


def test_help_imports_nothing_that_is_slow() -> None:
    assert imported("--version", "--help") == set()


def test_a_command_without_a_model_imports_no_torch_and_no_database_tools(
    captiv_home: Path,
) -> None:
    make_run(captiv_home, pending=1)

    commands = ("config list", "model show blip", "queue status", "caption generate --help")

    assert imported(*commands) <= {"pydantic"}


@pytest.mark.parametrize("args", [["--version"], ["--version", "config"], ["--debug", "--version"]])
def test_version(cli: Cli, args: list[str]) -> None:
    assert cli(*args).out == f"captiv {__version__}\n"
    assert cli(*args).code == 0


@pytest.mark.parametrize("columns", [60, 100])
def test_help_names_every_group_and_fits(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", columns)

    shown = cli("--help")

    assert shown.code == 0
    for group in ("caption", "config", "model", "queue", "doctor"):
        assert f"│ {group}" in shown.out
    assert len(shown.out.splitlines()) <= 45


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("caption", "generate list get set unset clear"),
        ("config", "list get set unset clear path"),
        ("model", "list show"),
        ("queue", "status list retry cancel clear watch"),
    ],
)
def test_each_group_has_its_commands_and_each_command_a_help(
    cli: Cli, group: str, names: str
) -> None:
    listed = cli(group, "--help").out

    for name in names.split():
        assert f"│ {name}" in listed
        page = cli(group, name, "--help")
        assert page.code == 0, page.err
        assert "--config-file" in page.out


@pytest.mark.parametrize(
    "args",
    [
        ["nix"],
        ["config", "sett"],
        ["config", "list", "--nix"],
        ["queue", "status", "x"],
    ],
)
def test_a_command_line_that_does_not_parse_ends_with_2(cli: Cli, args: list[str]) -> None:
    ended = cli(*args)

    assert ended.code == 2
    assert ended.out == ""
    assert ended.err


def test_a_group_alone_shows_its_commands_and_ends_with_2(cli: Cli) -> None:
    ended = cli("config")

    assert ended.code == 2
    assert "│ list" in ended.out


def test_a_typo_is_answered_with_what_was_meant(cli: Cli) -> None:
    ended = cli("config", "sett")

    assert ended.err.startswith("captiv: ")
    assert "Did you mean 'set'" in ended.err
    assert "captiv config --help" in ended.err


def ending_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    """Return the exit code of a command that ends with `error`."""

    def broken() -> object:
        begin().take(debug="--debug" in flags)

        def run(*_: object, **__: object) -> None:
            raise error

        return run

    monkeypatch.setattr(app, "command", broken)
    return app.main(["x"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("m"), 2),
        (ConfigurationError("m"), 3),
        (StoreFull("m"), 3),
        (NoWorker("m"), 4),
        (KeyboardInterrupt(), 130),
        (ExceptionGroup("g", [ValueError("x"), ExceptionGroup("h", [NoWorker("m")])]), 4),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), 130),
    ],
)
def test_the_exit_code_is_that_of_the_error(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ending_with(error, monkeypatch) == code


def test_an_error_is_one_line_and_its_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending_with(ConfigurationError("It is\nwrong.", hint="Right it."), monkeypatch)

    assert capsys.readouterr().err == "captiv: It is\\nwrong.\n  Right it.\n"


def test_a_traceback_comes_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending_with(NoWorker("m"), monkeypatch)
    assert "Traceback" not in capsys.readouterr().err

    ending_with(NoWorker("m"), monkeypatch, "--debug")
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_is_70_with_its_traceback_in_the_log_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ending_with(ExceptionGroup("g", [ValueError("odd")]), monkeypatch)

    err = capsys.readouterr().err
    log = current().paths().log_file
    assert code == 70
    assert err.startswith("captiv: internal error (ValueError: odd)")
    assert str(log) in err
    assert "Traceback" not in err
    assert "ValueError: odd" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("args", [["--help"], ["config", "list"], ["--version"]])
def test_a_reader_that_leaves_ends_it_quietly(args: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # before it begins, for it may be quick
    try:
        done = subprocess.run(
            command(*args), stdout=theirs, stderr=subprocess.PIPE, cwd=ROOT, check=False
        )
    finally:
        os.close(theirs)

    assert done.stderr == b""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux's")
def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("config", "list"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
        )

    assert done.returncode == 1
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_ends_with_130(captiv_home: Path) -> None:
    make_run(captiv_home, pending=1)
    with subprocess.Popen(
        command("queue", "watch"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("run 1 unfinished")
        time.sleep(0.1)  # let it reach its pause: both places end alike
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()

    assert child.returncode == 130
    assert err == ""


def test_options_count_before_and_after_the_command(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"

    assert cli("-c", file, "config", "path").out == f"{file}\n"
    assert cli("config", "path", "--config-file", file).out == f"{file}\n"
    assert cli("config", "-c", file, "path").code == 2
    assert cli("--quiet", "config", "path", "--verbose").code == 2


def test_a_command_with_such_an_option_of_its_own_hears_of_one_given_before_it(
    cli: Cli, tmp_path: Path
) -> None:
    ended = cli("-c", tmp_path / "nix.toml", "caption", "generate", "--dry-run", tmp_path)

    assert ended.code == 3
    assert "nix.toml" in ended.err


def test_python_m_captiv_is_captiv(process: Cli) -> None:
    assert process("--version").out == f"captiv {__version__}\n"
