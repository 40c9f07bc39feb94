"""One call of the command line: the options that every command takes, and what they lead to.

The options stand before the command or after it; `everywhere` gives them to a command. `main` makes
an invocation and `current` finds it, so that the handler of errors knows of `--debug` too.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from captiv.errors import UsageError

if TYPE_CHECKING:
    from captiv.settings import Loaded, Paths, Settings
    from captiv.store import Store

R = TypeVar("R")

PANEL = "Everywhere"

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config-file", "-c", metavar="FILE", help="Read this file.", rich_help_panel=PANEL
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=PANEL)]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say more.", rich_help_panel=PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say only errors.", rich_help_panel=PANEL)]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours.", rich_help_panel=PANEL)]


@dataclass(slots=True)
class Invocation:
    """What the person asked for besides the command itself."""

    config_file: Path | None = None
    debug: bool = False
    verbose: bool = False
    quiet: bool = False

    def take(
        self,
        config_file: ConfigFile = None,
        debug: Debug = False,
        verbose: Verbose = False,
        quiet: Quiet = False,
        no_color: NoColor = False,
    ) -> None:
        """Add options to those given so far."""
        self.config_file = config_file or self.config_file
        self.debug |= debug
        self.verbose |= verbose
        self.quiet |= quiet
        if no_color:
            os.environ["NO_COLOR"] = "1"  # what rich, typer and our children go by
        if self.quiet and self.verbose:
            raise UsageError("--quiet and --verbose contradict each other.")

    def paths(self) -> "Paths":
        """Return where captiv keeps its things."""
        from captiv.settings import Paths

        return Paths.find(self.config_file)

    def loaded(self) -> "Loaded":
        """Return the settings with their origins; no log will show their secrets."""
        from captiv.cli import log
        from captiv.settings import read

        loaded = read(self.paths())
        key = loaded.settings.runpod.api_key
        for secret in (*loaded.settings.worker.secrets, *([] if key is None else [key])):
            log.hide(secret.get_secret_value())
        return loaded

    def settings(self) -> "Settings":
        """Return the settings."""
        return self.loaded().settings

    def store(self) -> "Store":
        """Open the job table for a short change, making it if there is none."""
        from captiv.store import Store

        paths = self.paths()
        paths.make_data_dir()
        return Store.open(paths.database)

    @contextmanager
    def queue(self) -> "Iterator[Store | None]":
        """Open the job table for reading; None if there is none yet."""
        from captiv.store import Store

        database = self.paths().database
        if not database.exists():
            yield None
            return
        with Store.open(database, read_only=True) as store:
            yield store


_current: ContextVar[Invocation] = ContextVar("invocation")


def begin() -> Invocation:
    """Begin a new invocation, and make it the current one."""
    invocation = Invocation()
    _current.set(invocation)
    return invocation


def current() -> Invocation:
    """Return the invocation that is going on."""
    return _current.get(None) or begin()


def everywhere(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that every command takes, and a log to write to.

    One that names such an option among its own parameters is told what was given anywhere.
    """
    return _with_options(command, starts_log=True)


def before_commands(callback: Callable[..., R]) -> Callable[..., R]:
    """Give a group the options that every command takes."""
    return _with_options(callback, starts_log=False)


def _with_options(command: Callable[..., R], *, starts_log: bool) -> Callable[..., R]:
    shared = dict(inspect.signature(Invocation.take).parameters)
    shared.pop("self")
    own = inspect.signature(command)
    told = [name for name in shared if name in own.parameters and name != "no_color"]

    @functools.wraps(command)
    def run(**given: Any) -> R:
        invocation = current()
        invocation.take(**{name: given.pop(name) for name in shared})
        given |= {name: getattr(invocation, name) for name in told}
        if starts_log:
            _start_log(invocation)
        return command(**given)

    added = [parameter for name, parameter in shared.items() if name not in own.parameters]
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in added]
    positional = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own.parameters.values()]
    hints = {**Invocation.take.__annotations__, **command.__annotations__}
    run.__annotations__ = {**hints, "return": command.__annotations__.get("return")}
    run.__signature__ = own.replace(parameters=[*positional, *keywords])  # type: ignore[attr-defined]
    return run


def _start_log(invocation: Invocation) -> None:
    from captiv.cli import log

    log.start(
        invocation.paths().log_file,
        debug=invocation.debug,
        verbose=invocation.verbose and not invocation.quiet,
    )
