"""Writes the pages that are made from the code: commands, settings, the man page, the worker's API.

    .venv/bin/python scripts/reference.py            # writes them
    .venv/bin/python scripts/reference.py --check    # says which are out of date, and ends with 1

tests/docs/test_reference.py compares them with what this would write.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from captiv import __version__
from captiv.catalog import FAMILIES, Variant
from captiv.catalog.model import QUANTISED
from captiv.cli.app import command
from captiv.core.fleet import needed_gb
from captiv.exits import ExitCode
from captiv.settings import Settings

sys.path.insert(0, str(Path(__file__).parent.parent))
from scripts.worker_api import description

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

_VALUES = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
"""How the value of an option is called where the code gives it no name of its own."""

_EVERYWHERE = "Everywhere"


@dataclass(frozen=True, slots=True)
class Page:
    """One command: its words, what its parameters are, and what it says of itself."""

    path: str
    help: str
    parameters: tuple[Any, ...]
    is_group: bool


def commands(node: Any = None, path: str = "captiv", help_: str = "") -> Iterator[Page]:
    """Yield every command of captiv's, groups before what is in them."""
    node = command() if node is None else node
    children = {name: child.help for name, child in sorted(getattr(node, "commands", {}).items())}
    yield Page(path, _text(node.help or help_), tuple(node.params), bool(children))
    for name, listed in children.items():
        with node.make_context(path, [name], resilient_parsing=True) as ctx:
            _, child, _ = node.resolve_command(ctx, [name])
        yield from commands(child, f"{path} {name}", listed or "")


def commands_page() -> str:
    """Return docs/commands.md."""
    pages = list(commands())
    lines = [
        "# Commands",
        "",
        "Made from the code by `scripts/reference.py`: what `--help` says, on one page.",
        "In a shell, `captiv --install-completion` makes the tab key know all of it.",
        "",
    ]
    for page in pages:
        level = "##" if page.is_group or page.path.count(" ") < 2 else "###"
        lines += [f"{level} {page.path}", "", page.help, ""]
        if not page.is_group:
            lines += ["```", _usage(page), "```", ""]
        lines += _table(p for p in page.parameters if _shown(p))
    lines += ["## Options of every command", "", *_table(_everywhere(pages))]
    lines += ["## Exit codes", "", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code.value} | {_cell(code.meaning)} |" for code in ExitCode]
    return "\n".join(lines).rstrip() + "\n"


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made from the code by `scripts/reference.py`. `captiv config list` shows what each is",
        "now, and where that comes from; `captiv config set SECTION.KEY VALUE` changes it.",
        "An environment variable `CAPTIV_<SECTION>_<KEY>` goes before the file, an option of the",
        "command before both. Where no default is given, captiv or the model's family decides.",
        "",
    ]
    for name, section in Settings.model_fields.items():
        kind: Any = section.annotation
        lines += [f"## {name}", "", _text(kind.__doc__), "", "| key | default | meaning |"]
        lines += ["| --- | --- | --- |"]
        for key, field in kind.model_fields.items():
            default = "" if field.default in (None, "") else f"`{_toml(field.default)}`"
            lines.append(f"| `{name}.{key}` | {default} | {_cell(field.description or '')} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def man_page() -> str:
    """Return docs/captiv.1, which the wheel installs as a man page."""
    pages = list(commands())
    lines = [
        f'.TH CAPTIV 1 "" "captiv {__version__}" "User commands"',
        ".SH NAME",
        r"captiv \- captions for folders of images",
        ".SH SYNOPSIS",
        ".B captiv",
        "COMMAND [OPTIONS] [ARGUMENTS]",
        ".SH DESCRIPTION",
        _roff(pages[0].help),
        ".SH COMMANDS",
    ]
    for page in pages:
        if page.is_group:
            continue
        lines += [".SS " + _roff(_usage(page)), _roff(page.help)]
        for parameter in (p for p in page.parameters if _shown(p)):
            lines += [".TP", rf"\fB{_roff(_names(parameter))}\fR", _roff(_meaning(parameter))]
    lines += [".SH OPTIONS OF EVERY COMMAND"]
    for parameter in _everywhere(pages):
        lines += [".TP", rf"\fB{_roff(_names(parameter))}\fR", _roff(_meaning(parameter))]
    lines += [".SH EXIT STATUS"]
    for code in ExitCode:
        lines += [".TP", rf"\fB{code.value}\fR", _roff(code.meaning)]
    return "\n".join(lines) + "\n"


def cost_page() -> str:
    """Return docs/cost.md, whose two tables are computed."""
    page = (DOCS / "cost.md").read_text(encoding="utf-8")
    return _between(_between(page, "formula", _per_dollar()), "gpus", _fitting())


def _per_dollar() -> list[str]:
    rates, prices = (1, 5, 20), ("0.17", "0.34", "0.69", "1.39")
    lines = [
        "| price | "
        + " | ".join(f"at {rate} image{'s' if rate > 1 else ''}/s" for rate in rates)
        + " |",
        "| --- |" + " --- |" * len(rates),
    ]
    for price in prices:
        each = [int(rate * 3600 / Decimal(price)) for rate in rates]
        lines.append(f"| ${price}/h | " + " | ".join(f"{n:,}" for n in each) + " |")
    return lines


def _fitting() -> list[str]:
    lines = ["| variant | needs in 16 bit | GPU of | in 8 bit | in 4 bit |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for family in FAMILIES:
        sentences = family.recognised and family.tagging is None
        for variant in (v for v in family.variants if sentences):
            needs = needed_gb(variant, "bfloat16", None)
            cells = [_gpu(needed_gb(variant, bits, None), bits, variant) for bits in QUANTISED]
            need = "not known" if needs is None else f"{needs:g} GB"
            lines.append(f"| {variant.name} | {need} | {_smallest(needs)} | {' | '.join(cells)} |")
    return lines


def _gpu(needs: float | None, bits: str, variant: Variant) -> str:
    return _smallest(needs) if bits in variant.vram_gb else ""


def _smallest(needs: float | None) -> str:
    fits = [gb for gb in _MEMORIES if needs is not None and gb >= needs]
    return f"{fits[0]} GB" if fits else ""


_MEMORIES = (8, 10, 12, 16, 20, 24, 32, 48, 80)
"""How much memory GPUs have that RunPod rents out."""


def _between(page: str, name: str, lines: list[str]) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    return "\n".join([before + begin, *lines, end]) + rest.partition(end)[2]


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "commands.md": commands_page,
    DOCS / "settings.md": settings_page,
    DOCS / "captiv.1": man_page,
    DOCS / "cost.md": cost_page,
    DOCS / "openapi.json": lambda: json.dumps(description(), indent=1) + "\n",
}


def main() -> int:
    """Write the pages, or with `--check` name those that are out of date."""
    stale = [page for page, make in PAGES.items() if not _is(page, make())]
    if "--check" in sys.argv[1:]:
        print(*(page.relative_to(ROOT) for page in stale), sep="\n")
        return 1 if stale else 0
    for page in stale:
        page.write_text(PAGES[page](), encoding="utf-8")
        print(f"wrote {page.relative_to(ROOT)}")
    return 0


def _is(page: Path, text: str) -> bool:
    return page.is_file() and page.read_text(encoding="utf-8") == text


def _shown(parameter: Any) -> bool:
    hidden = getattr(parameter, "hidden", False) or parameter.name == "help"
    return not hidden and getattr(parameter, "rich_help_panel", None) != _EVERYWHERE


def _everywhere(pages: list[Page]) -> list[Any]:
    return [p for p in pages[0].parameters if getattr(p, "rich_help_panel", None) == _EVERYWHERE]


def _usage(page: Page) -> str:
    places = [_argument(p) for p in page.parameters if p.param_type_name == "argument"]
    return " ".join([page.path, "[OPTIONS]", *places])


def _argument(parameter: Any) -> str:
    name: str = parameter.metavar or parameter.name.upper()
    if not parameter.required and "[" not in name:
        name = f"[{name}]"
    return name + ("..." if parameter.nargs < 0 and not name.endswith("...") else "")


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _argument(parameter)
    long_first = sorted(parameter.opts, key=len, reverse=True)
    names = ", ".join([*long_first, *parameter.secondary_opts])
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or _value(parameter.type_descriptor.annotation)}"


def _value(annotation: Any) -> str:
    choices = getattr(annotation, "__members__", None) or get_args(annotation)
    if choices:
        return "|".join(str(getattr(choice, "value", choice)) for choice in _each(choices))
    return _VALUES.get(annotation, "VALUE")


def _each(choices: Any) -> Any:
    return choices.values() if hasattr(choices, "values") else choices


def _meaning(parameter: Any) -> str:
    text = _text(parameter.help or "")
    default = parameter.default
    if default is None or default == "" or isinstance(default, bool) or callable(default):
        return text
    if type(default).__name__ == "Sentinel" or parameter.param_type_name == "argument":
        return text
    return f"{text} Default: {default}."


def _table(parameters: Any) -> list[str]:
    rows = [f"| `{_cell(_names(p))}` | {_cell(_meaning(p))} |" for p in parameters]
    return ["| | |", "| --- | --- |", *rows, ""] if rows else []


def _cell(text: str) -> str:
    return _bare(text).replace("|", r"\|")


def _bare(text: str) -> str:
    """Return text in whose prose a name in braces or brackets is no markup."""
    return text.replace("<", "&lt;")


def _text(text: str | None) -> str:
    paragraphs = re.split(r"\n\s*\n", (text or "").strip())
    return "\n\n".join(" ".join(p.split()) for p in paragraphs)


def _roff(text: str) -> str:
    escaped = text.replace("…", "...").replace("\\", r"\e").replace("-", r"\-")
    escaped = escaped.replace("\n\n", "\n.PP\n")
    return re.sub(r"^([.'])(?!PP)", r"\\&\1", escaped, flags=re.MULTILINE)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main())
