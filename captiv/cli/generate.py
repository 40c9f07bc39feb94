"""`captiv caption generate`: the main job."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captiv.cli.groups import grouped
from captiv.cli.invocation import current
from captiv.request.options import Options

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from captiv.cli.progress import Display, Verbosity
    from captiv.core.spec import Overwrite, RunSpec
    from captiv.service import Outcome
    from captiv.settings import Settings


@grouped
def generate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Images and folders; the current folder if none.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Caption images again that have a sidecar. Sidecars edited by hand are kept and "
            "named; --overwrite=all replaces them, too.",
        ),
    ] = False,
    overwrite_all: Annotated[bool, typer.Option("--overwrite-all", hidden=True)] = False,
    *,
    options: Options,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on standard output.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask for a cap on what pods may cost.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for each image.")] = False,
    config_file: Annotated[
        Path | None, typer.Option("--config-file", "-c", help="Use this configuration file.")
    ] = None,
) -> None:
    """Write a caption beside every image, as a sidecar text file.

    Images that have one are skipped. To resume an interrupted run, give the same command
    again.
    """
    replaced: Overwrite = "all" if overwrite_all else "yes" if overwrite else "no"
    options = replace(options, paths=tuple(paths or ()), overwrite=replaced)
    verbosity: Verbosity = "quiet" if quiet else "verbose" if verbose else "normal"
    asks = not (dry_run or as_json or yes or quiet)
    _caption(options, dry_run=dry_run, as_json=as_json, verbosity=verbosity, asks=asks)


def _caption(
    options: Options, *, dry_run: bool, as_json: bool, verbosity: "Verbosity", asks: bool
) -> None:
    """Say what is contradictory in what is asked for, then preview it or do it."""
    from captiv.cli.capping import with_cap
    from captiv.cli.outlet import unhindered
    from captiv.cli.show import note
    from captiv.request.run import contradicted, request

    settings = current().settings()
    options = with_cap(options, settings, current().paths().config_file, ask=asks)
    if not dry_run:
        unhindered()

    spec, choice = request(options, settings)
    for sentence in contradicted(options, spec, choice):
        note(sentence)
    if dry_run:
        from captiv.cli.preview import preview

        raise typer.Exit(preview(spec, choice, settings, as_json=as_json))
    _run(spec, settings, as_json=as_json, verbosity=verbosity)


def _run(spec: "RunSpec", settings: "Settings", *, as_json: bool, verbosity: "Verbosity") -> None:
    """Caption, and end with the exit code that says how it went."""
    from captiv.cli.work import work
    from captiv.service import Service

    places = current().paths()

    def start(display: "Display") -> "Awaitable[Outcome]":
        service = Service(places, settings, display)
        display.on_abandoned = service.interrupt
        return service.caption(spec)

    code = work(
        start,
        verbosity=verbosity,
        as_json=as_json,
        print_captions=not spec.output.save,
        resume=_spelled(["captiv", *sys.argv[1:]]),
        log_file=places.log_file,
    )
    raise typer.Exit(code)


def _spelled(words: list[str]) -> str:
    """Return a command as this system's shell takes it."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
