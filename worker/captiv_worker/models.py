"""From what the command line names to weights in a local directory, and their family."""

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from captiv.catalog import (
    Family,
    ModelChoice,
    Variant,
    choose,
    choose_like,
    choose_source,
    default_family,
    family_named,
)
from captiv.catalog.declared import CHAT_MODEL, refusal
from captiv.catalog.decoding import FILE
from captiv.catalog.model import BUILTIN
from captiv.catalog.tagging import tagger_in
from captiv.catalog.waysout import gguf, is_gguf, refuse_folder
from captiv.errors import ModelError
from captiv_worker.hub import Report, fetch


@dataclass(frozen=True, slots=True)
class Resolved:
    """One checkpoint, here."""

    choice: ModelChoice
    source: str
    path: Path


def named(model: str | None, variant: str | None, source: str | None) -> ModelChoice | None:
    """Return what the catalog has under these names; None if only the weights can tell the family.

    A variant that is named as its source is none of the catalog: captiv says so of a directory.

    Raises:
        UsageError: the names contradict each other.
    """
    if model == CHAT_MODEL.name and source is not None:
        return ModelChoice(CHAT_MODEL, Variant(variant or source, variant or source))
    choice = choose(model, None if source is not None and variant == source else variant)
    if choice is None and source is not None and model is not None:
        raise ModelError(
            f"captiv knows no model {model!r}.",
            hint="With --source, --model names a family: captiv model list.",
        )
    return choice


def resolve(model: str | None, variant: str | None, source: str | None, report: Report) -> Resolved:
    """Return the checkpoint in a local directory, downloading it if need be.

    Raises:
        ModelError, UsageError: a sentence that says what to do.
    """
    choice = named(model, variant, source)
    wanted = source or (choice.variant.source if choice else model) or ""
    path = _locate(wanted, report)
    if choice is None:
        choice = _recognised(wanted, path)
    elif wanted != choice.variant.source:
        name = _name(wanted, path) if variant == wanted else choice.variant.name
        choice = _as_named(choice.family.name, name, wanted, path)
    return Resolved(choice, wanted, path)


def _recognised(source: str, path: Path) -> ModelChoice:
    """Return the family by config.json."""
    choice = choose_source(source, read_config(path), read_decoding(path))
    return replace(choice, variant=replace(choice.variant, name=_name(source, path)))


def _name(source: str, path: Path) -> str:
    """Return what a checkpoint is called; a directory by its name, not by where it lies."""
    return path.resolve().name if Path(source).expanduser().is_dir() else source


def _as_named(family_name: str, variant_name: str, source: str, path: Path) -> ModelChoice:
    """Return the named family as the weights of another source are.

    Raises:
        ModelError: they are not of this family.
    """
    family, config = family_named(family_name), read_config(path)
    found = None
    if family is not None:
        found = choose_like(family, source, config, read_decoding(path))
    if found is None and "auto_map" in config:
        raise refusal(source, config)
    if found is None:
        raise ModelError(
            f"The weights in {source} are not of the family {family_name}.",
            hint="Leave --model out, and the family is told by the weights.",
        )
    return replace(found, variant=replace(found.variant, name=variant_name))


def read_decoding(path: Path) -> dict[str, Any]:
    """Return the checkpoint's generation_config.json; empty where there is none that can be read.

    A damaged one is for transformers to refuse.
    """
    try:
        said = json.loads((path / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def read_config(path: Path) -> dict[str, Any]:
    """Return the checkpoint's config.json.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    if (tagger := tagger_in(path)) is not None:
        return tagger
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} holds no model: its config.json is missing or damaged.",
            hint="Give the directory that holds config.json and model.safetensors.",
        ) from error
    return dict(config)


def _locate(source: str, report: Report) -> Path:
    if source.startswith(BUILTIN):
        return _builtin(source.removeprefix(BUILTIN))
    directory = Path(source).expanduser()
    if directory.is_dir():
        refuse_folder(directory)
        return directory
    if is_gguf(source):
        raise gguf(source)
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise ModelError(
            f"There is no model {source!r}: it is no directory and no hub id.",
            hint="captiv model list names what captiv knows.",
        )
    return fetch(source, report)


def _builtin(name: str) -> Path:
    path = Path(str(files("captiv_worker"))) / "weights" / name
    if not (path / "config.json").is_file():
        raise ModelError(
            f"The weights of {name!r} are missing from this installation.",
            hint="Install captiv again: pip install --force-reinstall captiv",
        )
    return path


def custom(model: str | None, variant: str | None) -> tuple[Family, Variant]:
    """Return under which names an engine of one's own serves: those of the catalog."""
    choice = choose(model, variant)
    family = choice.family if choice else default_family()
    chosen = choice.variant if choice else Variant(model or family.name, "")
    return family, chosen
