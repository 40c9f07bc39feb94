"""Groups of options: a command names a group as one parameter, and takes all of its options.

    @grouped
    def estimate(model: ModelOptions, placement: PlacementOptions, json: Json = False) -> None: ...

Names, help, bounds and defaults come from the fields of the group (`captiv.request.options`), so a
new option is a new field there.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer

from captiv.request.options import Flag, FlagEach

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Option:
    """One option of a group, as typer is told of it."""

    name: str
    type: Any
    default: Any
    flag: Flag
    panel: str | None

    def parameter(self) -> inspect.Parameter:
        """Return the parameter that typer makes this option of."""
        flag = self.flag
        option = typer.Option(
            *(flag.spelled or (f"--{self.name.replace('_', '-')}",)),
            help=flag.help,
            metavar=flag.metavar,
            min=flag.min,
            max=flag.max,
            rich_help_panel=self.panel,
        )
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=self.default,
            annotation=Annotated[self.type, option],
        )


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of each group among its parameters, in the place of the group."""
    hints = get_type_hints(command, include_extras=True)
    groups = {n: t for n, t in hints.items() if isinstance(t, type) and is_dataclass(t)}
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(command).parameters.values():
        if own.name in groups:
            parameters += [option.parameter() for option in _options(groups[own.name])]
        else:
            keyword = own.replace(annotation=hints[own.name], kind=inspect.Parameter.KEYWORD_ONLY)
            parameters.append(keyword)

    @functools.wraps(command)
    def run(**given: Any) -> R:
        built = {name: _built(group, given) for name, group in groups.items()}
        return command(**built, **given)

    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": hints["return"]}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _options(group: type[Any]) -> Iterator[_Option]:
    """Yield the options of a group, and of the groups that it is made of, in their order."""
    defaults = {field.name: field.default for field in fields(group)}
    for part, name, type_, said in _flagged(group):
        if isinstance(said, FlagEach):
            yield from _each(said, part.panel)
        elif said.many:
            yield _Option(name, list[str] | None, None, said, part.panel)
        elif said.read is not None:
            yield _Option(name, str | None, None, said, part.panel)
        else:
            yield _Option(name, type_, defaults[name], said, part.panel)


def _each(said: FlagEach, panel: str | None) -> Iterator[_Option]:
    for name, field in said.model.model_fields.items():
        flag = Flag(field.description or "")
        yield _Option(name, field.annotation, field.default, flag, panel)


def _built(group: type[Any], given: dict[str, Any]) -> Any:
    """Return the group of what was given, and take that out of `given`."""
    values: dict[str, Any] = {}
    for _, name, _, said in _flagged(group):
        if isinstance(said, FlagEach):
            values[name] = _present({each: given.pop(each) for each in said.model.model_fields})
        elif said.many:
            values[name] = tuple(given.pop(name) or ())
        elif said.read is not None:
            values[name] = said.read(given.pop(name))
        else:
            values[name] = given.pop(name)
    return group(**values)


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _flagged(group: type[Any]) -> Iterator[tuple[Any, str, Any, Flag | FlagEach]]:
    """Yield each field that the command line offers: part of the group, name, type, metadata."""
    for part in filter(is_dataclass, group.__mro__):
        hints = get_type_hints(part, include_extras=True)
        for name in inspect.get_annotations(part):
            for said in getattr(hints[name], "__metadata__", ()):
                if isinstance(said, Flag | FlagEach):
                    yield part, name, get_args(hints[name])[0], said
