"""Commands that are imported when they are called, and not to be listed in a help page."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from captiv.cli.invocation import everywhere

STYLE: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "pretty_exceptions_enable": False,
}
"""What every `typer.Typer` of captiv's is made with."""


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is known by name, and imported when it is called."""

    target: str
    """`module:name` of a `typer.Typer`, or of a function that is one command.

    A function gets the options of `everywhere`.
    """
    help: str
    epilog: str | None = None
    """What stands below the help page of a function."""

    def load(self, name: str) -> Any:
        """Import it and return it as a command of that name."""
        module, _, attribute = self.target.partition(":")
        app = getattr(import_module(module), attribute)
        if not isinstance(app, typer.Typer):
            single = typer.Typer(**{**STYLE, "no_args_is_help": False})
            single.command(name, epilog=self.epilog)(everywhere(app))
            app = single
        command = typer.main.get_command(app)
        command.name = name
        return command


def lazy_group(commands: Mapping[str, Lazy]) -> type[TyperGroup]:
    """Return a kind of group that has these commands before its own."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            stand_ins: dict[str, Any] = {
                name: TyperCommand(name=name, help=lazy.help) for name, lazy in commands.items()
            }
            self.commands = {**stand_ins, **self.commands}

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if args and args[0] in commands:
                self.commands[args[0]] = commands[args[0]].load(args[0])
            return super().resolve_command(ctx, args)

    return LazyGroup
