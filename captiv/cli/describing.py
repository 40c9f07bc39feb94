"""One model family on paper: what `captiv model show` prints."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from captiv.cli import show
from captiv.gui.phases import size

if TYPE_CHECKING:
    from captiv.catalog import Family, Mode
    from captiv.wire import Generation


_ADVISED = ("qwen-vl", "joycaption")
_GPUS_GB = (8, 16, 24, 48, 80)
_LARGER_BY: Final = 3
"""A checkpoint with so many times the weights is advised in 8 bit before a smaller one in 16."""

_RUN = (
    "captiv never runs code that a checkpoint brings (trust_remote_code=False). Attention is "
    "transformers' choice: sdpa where the model has it, else eager; the worker's log names it."
)


def tell(family: "Family") -> None:
    """Print everything that the catalog knows of this family."""
    show.line(f"{family.name}: {family.title}")
    if family.note:
        show.line(family.note)
    show.line(f"Licence: {family.licence or 'not known'}")
    show.line(_RUN)
    show.line(f"Own prompt: {'yes' if family.takes_prompt else 'no'}")
    if family.system:
        show.line(f'System prompt: "{family.system}"')
    _variants(family)
    _modes(family)
    _lengths(family)
    if family.options:
        show.line("\nPrompt options")
        for option in family.options:
            show.line(f"  {option.key}: {option.text}")
    if family.tagging is not None:
        _thresholds(family.tagging.thresholds)
        return
    _settings("Settings, unless others are given", family.generation)
    for variant in family.variants:
        if family.of(variant).generation != family.generation:
            _settings(f"Settings of {variant.name}", family.of(variant).generation)


def for_gpus() -> list[str]:
    """Return which chat models to take for a GPU of each usual size, a line each."""
    from captiv.catalog import family_named

    families = [family for name in _ADVISED if (family := family_named(name)) is not None]
    lines = []
    for gb in _GPUS_GB:
        fit = [taken for family in families if (taken := _taken(family, gb)) is not None]
        lines.append(f"for a GPU of {gb} GB: {', '.join(fit)}")
    return [*lines, "8bit and 4bit need bitsandbytes: pip install 'captiv[quant]'"]


def _taken(family: "Family", gb: int) -> str | None:
    """Return the largest checkpoint of the family's own kind that fits, in the best precision.

    One that is much larger comes first in 8 bit.
    """
    own = [
        variant
        for variant in family.variants
        if (variant.architecture, variant.generation) == (None, None)
    ]
    taken: str | None = None
    least = 1
    for precision in ("bfloat16", "8bit", "4bit"):
        fit = [v for v in own if v.vram_gb.get(precision, gb + 1) <= gb]
        best = max(fit, key=lambda v: v.download_bytes or 0, default=None)
        weights = 0 if best is None else best.download_bytes or 0
        if best is not None and weights >= least and (taken is None or precision == "8bit"):
            taken = best.name if precision == "bfloat16" else f"{best.name} in {precision}"
            least = _LARGER_BY * weights
    return taken


def memory(vram_gb: Mapping[str, float]) -> str:
    """Return how much memory each precision needs."""
    return ", ".join(f"{precision} {gigabytes:g} GB" for precision, gigabytes in vram_gb.items())


def _variants(family: "Family") -> None:
    show.line("\nVariants")
    for variant in family.variants:
        mark = " (default)" if variant.name == family.default_variant else ""
        bytes_ = size(variant.download_bytes)
        show.line(f"  {variant.name}{mark}: {variant.source}; download {bytes_}")
        if family.of(variant).takes_prompt != family.takes_prompt:
            takes = "takes one" if family.of(variant).takes_prompt else "takes none"
            show.line(f"    own prompt: {takes}")
        if variant.vram_gb:
            show.line(f"    memory: {memory(variant.vram_gb)}")
        if variant.note:
            show.line(f"    {variant.note}")


def _modes(family: "Family") -> None:
    show.line("\nModes")
    for mode in family.modes:
        if mode.trained:
            _mode(family, mode)
    free = [mode for mode in family.modes if not mode.trained]
    if free:
        show.line("\nModes that the model was not trained on: they may do, or may not")
        for mode in free:
            _mode(family, mode)


def _mode(family: "Family", mode: "Mode") -> None:
    prompt = f' "{mode.prompt}"' if mode.prompt else ""
    default = " (unless another is given)" if mode.name == family.default_mode else ""
    only = f" [{', '.join(mode.variants)}]" if mode.variants else ""
    show.line(f"  {mode.name}{default}{only}:{prompt} {mode.description}".rstrip())


def _lengths(family: "Family") -> None:
    from captiv.catalog import lengths_in_words

    if not family.lengths:
        return
    without = [mode.name for mode in family.modes if not mode.has_lengths]
    show.line(f"\nLengths: {lengths_in_words(family)}")
    if without:
        show.line(f"  Without lengths: {', '.join(without)}")


def _thresholds(by_category: Mapping[str, float]) -> None:
    show.line("\nScores that tags have to exceed, by category (--tag-threshold)")
    for category, score in by_category.items():
        show.line(f"  {category} = {score:g}" + (", so none is written" if score >= 1 else ""))


def _settings(title: str, generation: "Generation") -> None:
    show.line(f"\n{title}")
    for name, value in generation.model_dump(exclude_none=True).items():
        show.line(f"  {name} = {value:g}")
