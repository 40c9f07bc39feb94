"""The command `captiv`: its groups, and how every error ends.

An error of captiv's is one line, a hint and the exit code of its class; any other is an internal
error, code 70, with its traceback in the log file. `--debug` shows tracebacks. Ctrl-C ends with
130; a reader that leaves (`| head`) ends it quietly with 141.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from captiv import __version__
from captiv.cli.refusal import SPELLED
from captiv.errors import CaptivError, UsageError, leading
from captiv.exits import ExitCode
from captiv.signals import catch

if TYPE_CHECKING:
    import logging

INTERRUPTED = ExitCode.INTERRUPTED
READER_LEFT = ExitCode.READER_LEFT
INTERNAL = ExitCode.INTERNAL


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    out, err = sys.stdout, sys.stderr
    try:
        with catch(process=argv is None):
            return _ended([SPELLED.get(a, a) for a in (sys.argv[1:] if argv is None else argv)])
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        said = {sys.stdout, sys.stderr} - {out, err}
        sys.stdout, sys.stderr = out, err
        for stream in said:  # what a run says is written by a thread
            stream.close()
        _leave_nothing(err)


def _ended(args: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show ends nothing
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if "--no-color" in args:  # before anything is parsed: help is shown while it is
        os.environ["NO_COLOR"] = "1"
    code = 0
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        code = READER_LEFT
    except OSError as error:
        if code == 0:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"captiv: The output cannot be written: {error.strerror}.\n")
            code = 1
    _leave_nothing(sys.stdout)
    return code


def _leave_nothing(stream: TextIO) -> None:
    """Drop what a stream cannot write: the interpreter would try again, and fail."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(args: list[str]) -> int:
    if args == ["--version"]:  # nothing to import for it
        sys.stdout.write(f"captiv {__version__}\n")
        return 0
    root: Any = None
    try:
        root = command()
        result = root(args, prog_name="captiv", standalone_mode=False)
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer and rich have seen it first
            return READER_LEFT
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:
        first = leading(error) if isinstance(error, BaseExceptionGroup) else error
        return _failed(first, args, root)
    return int(result) if isinstance(result, int) and not isinstance(result, bool) else 0


def command() -> Any:
    """Return the whole command line as one command, and begin an invocation of it."""
    import typer

    from captiv.cli.invocation import before_commands, begin
    from captiv.cli.lazy import STYLE, Lazy, lazy_group

    begin()
    groups = lazy_group(
        {
            "caption": Lazy("captiv.cli.caption:app", "Caption images, and look after sidecars."),
            "config": Lazy("captiv.cli.config:app", "Settings: list, get, set, unset, clear."),
            "gui": Lazy("captiv.cli.gui:app", "The page: pictures and captions in the browser."),
            "model": Lazy("captiv.cli.model:app", "Models that can caption."),
            "queue": Lazy("captiv.cli.queue:app", "Runs and their images."),
            "quote": Lazy("captiv.cli.quote:quote", "What captions would cost, by every road."),
            "runpod": Lazy("captiv.cli.runpod:app", "GPUs rented from RunPod."),
            "doctor": Lazy("captiv.cli.doctor:doctor", "Check this installation."),
        }
    )
    app = typer.Typer(cls=groups, **{**STYLE, "add_completion": True})
    shown = typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)

    @app.callback(epilog="Begin with: captiv caption generate FOLDER")
    @before_commands
    def captiv(version: Annotated[bool, shown] = False) -> None:
        """Captions for folders of images, from a rented GPU or from this machine."""

    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        import typer

        sys.stdout.write(f"captiv {__version__}\n")
        raise typer.Exit


def _failed(error: BaseException, args: list[str], root: Any) -> int:
    from captiv.cli.invocation import current

    if current().debug:
        _show_traceback(error)
    if isinstance(error, CaptivError):
        return _known(error)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return INTERRUPTED
    if hasattr(error, "format_message"):  # typer's own: the command line does not parse
        return _usage(error, args, root)
    return _internal(error)


def _known(error: CaptivError) -> int:
    if not isinstance(error, UsageError):
        _log().warning("command failed code=%s", error.code, exc_info=error)
    _tell(error.message, error.hint)
    return error.exit_code


def _usage(error: Any, args: list[str], root: Any) -> int:
    from captiv.cli.refusal import in_words

    if type(error).__name__ == "NoArgsIsHelpError":
        with contextlib.suppress(OSError):
            sys.stderr.write(error.format_message())
        return ExitCode.USAGE
    _tell(*in_words(error, args, root))
    return int(error.exit_code)


def _internal(error: BaseException) -> int:
    from captiv.cli import log
    from captiv.cli.invocation import current

    file = current().paths().log_file
    if not log.started():
        log.start(file)
    _log().error("internal error", exc_info=error)
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    _tell(
        f"internal error ({what}); details in {file}",
        "Nothing that was captioned is lost. Please report it with the last lines of that file.",
    )
    return INTERNAL


def _tell(message: str, hint: str | None) -> None:
    from captiv.cli.log import without_secrets
    from captiv.cli.show import say, visible

    say(without_secrets(f"captiv: {visible(message)}" + (f"\n  {hint}" if hint else "")))


def _show_traceback(error: BaseException) -> None:
    import traceback

    from captiv.cli.log import without_secrets

    with contextlib.suppress(OSError):
        sys.stderr.write(without_secrets("".join(traceback.format_exception(error))))


def _log() -> "logging.Logger":
    import logging

    return logging.getLogger("captiv.cli")
