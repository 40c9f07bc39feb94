"""Which of the models that a server lists is meant."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from captiv.errors import WorkerMismatch


@dataclass(frozen=True, slots=True)
class Wanted:
    """The model to ask for."""

    names: tuple[str, ...]
    """What it may be called there, the best first."""
    strict: bool = True
    """Whether a server's only model is refused if it is called otherwise."""


def listed(reply: Any) -> list[str] | None:
    """Return the names in an answer to GET /v1/models, or None if it is none."""
    data = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(data, list):
        return None
    ids = [entry.get("id") for entry in data if isinstance(entry, dict)]
    return [name for name in ids if isinstance(name, str)]


def pick(served: Sequence[str], wanted: Wanted, url: str) -> str:
    """Return the one model of `served` that is meant.

    Servers call a model by its hub id, by the last part of it, or by the file that it lies in.

    Raises:
        WorkerMismatch: none is, or several could be; names what is served.
    """
    for name in wanted.names:
        for same in _rules(name, loosely=not wanted.strict):
            found = [model for model in served if same(model)]
            if len(found) == 1:
                return found[0]
            if found:
                break
    if len(served) == 1 and not wanted.strict:
        return served[0]
    names = ", ".join(served) or "no model"
    raise WorkerMismatch(
        f"The server at {url} does not say which of its models is {wanted.names[0]}.",
        hint=f"It serves: {names}. Name one of them with --model, or with --variant beside a "
        "--model of captiv's.",
    )


def is_named(model: str, wanted: Wanted) -> bool:
    """Whether a server calls a model as it is wanted, and not only somehow like it."""
    return any(same(model) for name in wanted.names for same in _rules(name, loosely=False))


def _rules(name: str, *, loosely: bool) -> Iterator[Callable[[str], bool]]:
    folded, tail = name.casefold(), _tail(name)
    yield lambda model: model == name
    yield lambda model: model.casefold() == folded
    yield lambda model: _tail(model) == tail
    if loosely:
        yield lambda model: tail in _tail(model)


def _tail(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].casefold()
