"""`--dry-run`: what would be done, without doing it."""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from captiv.catalog import ModelChoice
from captiv.cli.invocation import current
from captiv.cli.nothing import no_images
from captiv.cli.places import place_name
from captiv.cli.progress import not_tried
from captiv.cli.show import note
from captiv.clock import now_ms
from captiv.core.naming import Place
from captiv.core.spec import RunSpec
from captiv.core.unread import told
from captiv.dispatch.events import Silence
from captiv.dispatch.outlook import kept_of
from captiv.dispatch.retrying import foreseen
from captiv.dispatch.scan import chunks
from captiv.exits import ExitCode
from captiv.settings import Settings
from captiv.sources import Sources, provider_of

if TYPE_CHECKING:
    from captiv.errors import CaptivError
    from captiv.rental.estimate import Quote
    from captiv.store import Store

_EXAMPLES = 3
_RARE = ("unread", "kept", "not_tried")
"""What is only said where there is some."""


@dataclass(slots=True)
class Found:
    """What the scan of a run would find."""

    wanted: int = 0
    skipped: int = 0
    kept: int = 0
    """Sidecars that were edited by hand: they would stay."""
    unread: Counter[str] = field(default_factory=Counter)
    """Files of kinds that captiv does not read."""
    untried: int = 0
    """Images that failed before, and would again."""
    examples: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether there is no image at all."""
        return not (self.wanted or self.skipped or self.kept or self.untried or self.problems)


def preview(spec: RunSpec, choice: ModelChoice, settings: Settings, *, as_json: bool) -> int:
    """Print what a run would do, and return the code that it would have before its first image.

    That is how many images would be captioned, with what, where the captions would go and what is
    in the way; of a run on rented pods, too, what would be rented. Nothing is done.
    """
    with current().queue() as store:
        found = scanned(spec, store)
        sources = Sources(current().paths(), settings, Silence(), specs={}, now_ms=now_ms)
        obstacle = anyio.run(sources.obstacle, spec, store)
        if found.nothing:
            note(no_images(spec.selection.roots, recursive=spec.selection.recursive))
        facts = _facts(spec, choice, found)
        if spec.placement.kind == "rented":
            quote = _quoted(spec, choice, settings, found.wanted, store)
            facts["rental"] = quote.facts() if as_json else quote.lines()
    if obstacle is not None:
        facts["obstacle"] = _described(obstacle) if as_json else _lines(obstacle)
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        facts["unread"] = told(found.unread)
        for name, value in facts.items():
            if value not in (None, [], {}) and (value or name not in _RARE):
                sys.stdout.write(f"{name}: {_shown(value)}\n")
        if found.untried:
            note(not_tried(found.untried))
    if obstacle is not None:
        return obstacle.exit_code
    every = found.wanted == spec.selection.limit or not (found.problems or found.untried)
    lacking = found.nothing or not every
    return ExitCode.LACKING if lacking else ExitCode.DONE


def scanned(spec: RunSpec, store: "Store | None") -> Found:
    """Return what the scan of a run would find."""
    found, limit = Found(), spec.selection.limit
    for chunk in chunks(spec):
        chunk.kept = kept_of(chunk, spec, store)
        found.skipped += len(chunk.skipped)
        found.unread += chunk.unread
        failed = foreseen(store, spec, chunk.wanted)
        wanted = [place for place in chunk.wanted if place not in failed]
        room = None if limit is None else limit - found.wanted
        within = chunk
        if room is not None and len(wanted) >= room:
            within = chunk.up_to(chunk.order[wanted[room - 1]])
            wanted = wanted[:room]
        found.problems += [f"{place.image}: {reason}" for place, _, reason in within.refused]
        found.kept += len(within.kept)
        found.untried += sum(place in failed for place in within.wanted)
        found.wanted += len(wanted)
        found.examples += [
            _example(place, spec) for place in wanted[: _EXAMPLES - len(found.examples)]
        ]
        if found.wanted == limit:
            break
    return found


def _facts(spec: RunSpec, choice: ModelChoice, found: Found) -> dict[str, object]:
    return {
        "images": found.wanted,
        "skipped": found.skipped,
        "unread": dict(found.unread),
        "kept": found.kept,
        "not_tried": found.untried,
        "problems": found.problems,
        "model": spec.captioning.model,
        "variant": spec.captioning.variant,
        "source": choice.variant.source,
        "download_bytes": choice.variant.download_bytes,
        "mode": spec.captioning.mode,
        "length": spec.captioning.length,
        "system": choice.family.system or None,
        "prompt": spec.captioning.prompt,
        "generation": spec.captioning.generation.model_dump(exclude_none=True),
        "tagging": _tagging(spec),
        "worker": place_name(spec.placement),
        "examples": found.examples,
    }


def _tagging(spec: RunSpec) -> dict[str, object] | None:
    """Return which tags are written; None of a model that writes sentences."""
    tagging = spec.captioning.tagging
    return None if tagging is None else tagging.model_dump()


def _described(error: "CaptivError") -> dict[str, object]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _lines(error: "CaptivError") -> list[str]:
    return [line for line in (error.message, *(error.hint or "").splitlines()) if line]


def _quoted(
    spec: RunSpec, choice: ModelChoice, settings: Settings, images: int, store: "Store | None"
) -> "Quote":
    from captiv.rental.estimate import quoted

    return anyio.run(
        quoted, provider_of(spec.placement), spec, choice.variant, settings, images, store
    )


def _example(place: Place, spec: RunSpec) -> str:
    return f"{place.image} -> {place.sidecar}" if spec.output.save else place.image


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "".join(f"\n  {item}" for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
