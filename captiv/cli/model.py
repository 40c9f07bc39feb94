"""`captiv model`: what can caption."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from captiv.cli import describing, show
from captiv.cli.invocation import everywhere
from captiv.cli.lazy import STYLE
from captiv.errors import UsageError
from captiv.gui.phases import size

if TYPE_CHECKING:
    from captiv.catalog import Family, ModelChoice, Variant
    from captiv.core.machine import Machine


class _Models(TyperGroup):
    """`captiv model NAME` is `captiv model show NAME`, as the first captiv had it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = [*self._command_for(args[0]), *args]
        return super().resolve_command(ctx, args)

    def _command_for(self, name: str) -> list[str]:
        """Return `show` for what may be a model; nothing for a command that is mistyped."""
        from captiv.catalog import choose

        if choose(name) is not None or Path(name).is_dir():
            return ["show"]
        return [] if difflib.get_close_matches(name, self.commands) else ["show"]


app = typer.Typer(cls=_Models, **STYLE)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
@everywhere
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", show_default=False)] = None,
    json: Json = False,
) -> None:
    """List models: size, memory, whether this machine has room for it, and whether it is here.

    "Fits" is "yes", "no", or the --torch-dtype with which the model fits.
    Any other chat model of transformers goes by its hub id: --model ID.
    """
    from captiv.catalog import FAMILIES, describe

    families = (_whole(_choice(name)),) if name else FAMILIES
    if json:
        show.json_value([describe(family).model_dump(mode="json") for family in families])
        return
    here = _machine()
    rows = [_row(here, family, variant) for family in families for variant in family.variants]
    show.table(("Model", "Variant", "Download", "Memory", "Fits", "Here"), rows, right=(2, 3))
    if name is None:
        for line in describing.for_gpus():
            show.note(line)


def _machine() -> "Machine":
    from captiv.workers.machine import machine

    return machine("")


def _row(here: "Machine", family: "Family", variant: "Variant") -> tuple[str, ...]:
    from captiv.core.machine import needed_here, precision_here
    from captiv.workers.hub import is_here

    needs = needed_here(here, variant)
    precision = precision_here(here, variant)
    return (
        family.name,
        variant.name + (" (default)" if variant.name == family.default_variant else ""),
        size(variant.download_bytes),
        "unknown" if needs is None else f"{needs:g} GB",
        "yes" if precision == "auto" else precision or "no",
        "yes" if is_here(variant.source) else "no",
    )


@app.command("show")
@everywhere
def show_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, variant or directory.")],
    json: Json = False,
) -> None:
    """Show one model: variants, modes with their prompts, lengths, options, default settings.

    `captiv model NAME` does the same.
    """
    choice = _choice(name)
    family = _whole(choice) if name == choice.family.name else choice.family
    if json:
        show.json_value(_described(family, choice.variant.name))
        return
    describing.tell(family)
    if choice.family.variant(choice.variant.name) is None:
        show.line(f"\n{choice.variant.source} is a model of this family.")


def _choice(name: str) -> "ModelChoice":
    """Return what the catalog knows, or what a local directory holds.

    Raises:
        UsageError: it is neither; names the models.
    """
    from captiv.catalog import FAMILIES, choose

    found = choose(name)
    if found is None and Path(name).is_dir():
        return _local(Path(name))
    if found is None:
        names = ", ".join(family.name for family in FAMILIES)
        raise UsageError(f"There is no model {name!r}.", hint=f"The models: {names}.")
    return found


def _local(folder: Path) -> "ModelChoice":
    import json

    from captiv.catalog import choose_source
    from captiv.catalog.tagging import tagger_in
    from captiv.catalog.waysout import refuse_folder
    from captiv.workers.hub import read_decoding

    if (tagger := tagger_in(folder)) is not None:
        return choose_source(str(folder), tagger)
    refuse_folder(folder)
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} holds no model: its config.json cannot be read.",
            hint="Name the directory that holds config.json and the weights.",
        ) from error
    return choose_source(
        str(folder), config if isinstance(config, dict) else {}, read_decoding(str(folder))
    )


def _whole(choice: "ModelChoice") -> "Family":
    """Return the family with all that any of its variants has."""
    from captiv.catalog import family_named

    return family_named(choice.family.name) or choice.family


def _described(family: "Family", variant: str) -> dict[str, Any]:
    """Return what a worker tells in GET /api/models and GET /api/modes/NAME, in one."""
    from captiv.catalog import describe, describe_modes

    return {
        **describe(family).model_dump(mode="json"),
        "variant": variant,
        **describe_modes(family).model_dump(mode="json", exclude={"model"}),
    }
