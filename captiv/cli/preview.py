"""`--dry-run`: what would be done, without doing it."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from captiv.catalog import ModelChoice
from captiv.cli.invocation import current
from captiv.cli.nothing import no_images
from captiv.cli.places import place_name
from captiv.cli.progress import not_tried
from captiv.cli.show import note
from captiv.core.naming import Place
from captiv.core.spec import RunSpec
from captiv.dispatch.retrying import foreseen
from captiv.dispatch.scan import chunks
from captiv.settings import Settings

if TYPE_CHECKING:
    from captiv.rental.estimate import Quote

_EXAMPLES = 3


def preview(spec: RunSpec, choice: ModelChoice, settings: Settings, *, as_json: bool) -> None:
    """Print how many images would be captioned, with what, and where the captions would go.

    Of a run on rented pods it says, too, what would be rented; nothing is.
    With --overwrite, a sidecar that was edited by hand counts as an image to caption: only the job
    table knows of it, and it would be kept.
    """
    wanted, skipped, untried = 0, 0, 0
    examples: list[str] = []
    problems: list[str] = []
    limit = spec.selection.limit
    for chunk in chunks(spec):
        problems += [f"{place.image}: {reason}" for place, _, reason in chunk.refused]
        skipped += len(chunk.skipped)
        found = [*chunk.wanted, *(place for place, _ in chunk.there)]
        places = _tried(found, spec)
        untried += len(found) - len(places)
        wanted += len(places)
        examples += [_example(place, spec) for place in places[: _EXAMPLES - len(examples)]]
        if limit is not None and wanted >= limit:
            wanted, examples = limit, examples[:limit]
            break
    if not (wanted or skipped or untried or problems):
        note(no_images(spec.selection.roots, recursive=spec.selection.recursive))
    facts = {
        "images": wanted,
        "skipped": skipped,
        "not_tried": untried,
        "problems": problems,
        "model": spec.captioning.model,
        "variant": spec.captioning.variant,
        "source": choice.variant.source,
        "download_bytes": choice.variant.download_bytes,
        "mode": spec.captioning.mode,
        "length": spec.captioning.length,
        "system": choice.family.system or None,
        "prompt": spec.captioning.prompt,
        "generation": spec.captioning.generation.model_dump(exclude_none=True),
        "worker": place_name(spec.placement),
        "examples": examples,
    }
    if spec.placement.kind == "rented":
        quote = _quoted(spec, choice, settings, wanted)
        facts["rental"] = quote.facts() if as_json else quote.lines()
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    for name, value in facts.items():
        if value not in (None, [], {}) and (name, value) != ("not_tried", 0):
            sys.stdout.write(f"{name}: {_shown(value)}\n")
    if untried:
        note(not_tried(untried))


def _tried(places: Sequence[Place], spec: RunSpec) -> list[Place]:
    """Return those of these images that did not fail before as they would fail again."""
    with current().queue() as store:
        lasting = foreseen(store, spec, places) if store is not None else []
    failed = {job.place for job in lasting}
    return [place for place in places if place not in failed]


def _quoted(spec: RunSpec, choice: ModelChoice, settings: Settings, images: int) -> "Quote":
    import anyio

    from captiv.rental.estimate import quoted
    from captiv.sources import provider_of

    with current().queue() as store:
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
