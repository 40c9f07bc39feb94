"""`captiv model`: what can caption."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from captiv.cli import show
from captiv.cli.invocation import everywhere
from captiv.cli.lazy import STYLE
from captiv.errors import UsageError

if TYPE_CHECKING:
    from captiv.catalog import Family, ModelChoice


class _Models(TyperGroup):
    """`captiv model NAME` is `captiv model show NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            from captiv.catalog import family_named

            if family_named(args[0]) is not None:
                args = ["show", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_Models, **STYLE)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
@everywhere
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", show_default=False)] = None,
    json: Json = False,
) -> None:
    """List models and their variants, with download size and memory."""
    from captiv.catalog import FAMILIES, describe

    families = (_choice(name).family,) if name else FAMILIES
    if json:
        show.json_value([describe(family).model_dump(mode="json") for family in families])
        return
    rows = [
        (
            family.name,
            variant.name + (" (default)" if variant.name == family.default_variant else ""),
            show.size(variant.download_bytes),
            _memory(variant.vram_gb),
            family.title,
        )
        for family in families
        for variant in family.variants
    ]
    show.table(("Model", "Variant", "Download", "Memory", ""), rows, right=(2,))


@app.command("show")
@everywhere
def show_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, variant or directory.")],
    json: Json = False,
) -> None:
    """Show one model: variants, modes with their prompts, options, default settings."""
    choice = _choice(name)
    if json:
        show.json_value(_described(choice))
        return
    _print(choice.family)
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

    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} holds no model: its config.json cannot be read.",
            hint="Name the directory that holds config.json and the weights.",
        ) from error
    return choose_source(str(folder), config if isinstance(config, dict) else {})


def _described(choice: "ModelChoice") -> dict[str, Any]:
    from captiv.catalog import describe

    family = choice.family
    return {
        **describe(family).model_dump(mode="json"),
        "variant": choice.variant.name,
        "modes": [
            {"name": m.name, "prompt": m.prompt, "description": m.description} for m in family.modes
        ],
        "options": {option.key: option.text for option in family.options},
        "takes_prompt": family.takes_prompt,
    }


def _print(family: "Family") -> None:
    show.line(f"{family.name}: {family.title}")
    if family.note:
        show.line(family.note)
    show.line(f"Licence: {family.licence or 'not known'}")
    show.line(f"Own prompt: {'yes' if family.takes_prompt else 'no'}")
    show.line("\nVariants")
    for variant in family.variants:
        mark = " (default)" if variant.name == family.default_variant else ""
        size = show.size(variant.download_bytes)
        show.line(f"  {variant.name}{mark}: {variant.source}; download {size}")
        if variant.vram_gb:
            show.line(f"    memory: {_memory(variant.vram_gb)}")
        if variant.note:
            show.line(f"    {variant.note}")
    show.line("\nModes")
    for mode in family.modes:
        prompt = f' "{mode.prompt}"' if mode.prompt else ""
        show.line(f"  {mode.name}:{prompt} {mode.description}".rstrip())
    if family.options:
        show.line("\nPrompt options")
        for option in family.options:
            show.line(f"  {option.key}: {option.text}")
    show.line("\nSettings, unless others are given")
    for name, value in family.generation.model_dump(exclude_none=True).items():
        show.line(f"  {name} = {value:g}")


def _memory(vram_gb: Any) -> str:
    return ", ".join(f"{precision} {gigabytes:g} GB" for precision, gigabytes in vram_gb.items())
