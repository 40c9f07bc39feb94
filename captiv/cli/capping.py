"""The first `--runpod` at a terminal asks whether runs shall have a cap, and keeps the answer."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from captiv.cli.show import say
from captiv.errors import ConfigurationError
from captiv.request.options import Options
from captiv.request.placement import NO_CAP
from captiv.settings.changes import change, known

if TYPE_CHECKING:
    from pathlib import Path

    from captiv.settings import Settings

_WHY = (
    "A rented pod bills by the second until its run ends, and for 24 hours at most. A cap ends a "
    "run before it costs more; what is left stays pending."
)
_QUESTION = "Most that a run may cost, in dollars (nothing: no cap)"


def with_cap(options: Options, settings: "Settings", file: "Path", *, ask: bool) -> Options:
    """Return the options with the cap that a person names, if this is the time to ask for one.

    That is asked once: the answer stands in the settings from then on, also that there is to be no
    cap. Nobody is asked without a terminal on both ends, nor where there is no key to rent with.
    """
    runpod = settings.runpod
    decided = options.max_cost is not None or runpod.max_cost is not None
    if not (ask and options.runpod) or decided or runpod.api_key is None or not _both_ends():
        return options
    say(_WHY)
    answer = _asked()
    try:
        change(file, known("runpod", "max_cost"), answer)
    except ConfigurationError as error:
        say(f"captiv: The answer holds for this run only. {error.message}")
    else:
        told = "no cap" if answer == NO_CAP else f"${answer}"
        say(f"captiv: {told}; `captiv config set runpod.max_cost` changes it.")
    return replace(options, max_cost=answer)


def _asked() -> str:
    """Return what a person answers, as the setting takes it."""
    key = known("runpod", "max_cost")
    while True:
        typed = typer.prompt(_QUESTION, default="", show_default=False, err=True)
        answer = typed.strip().lstrip("$") or NO_CAP
        try:
            key.parse(answer)
        except ValueError as error:
            say(f"It {error}.")
        else:
            return answer


def _both_ends() -> bool:
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
