"""`--dry-run`: what would be done, without doing it."""

import json
import sys

from captiv.catalog import ModelChoice
from captiv.core.naming import sidecar_path
from captiv.core.spec import RunSpec
from captiv.dispatch.intake import chunks
from captiv.settings import Settings

_EXAMPLES = 3
_WHERE = {"local": "this machine", "url": "a worker elsewhere", "runpod": "RunPod"}


def preview(spec: RunSpec, choice: ModelChoice, settings: Settings, *, as_json: bool) -> None:
    """Print how many images would be captioned, with what, and where the captions would go.

    Of a run on RunPod it says, too, what would be rented; nothing is.
    With --overwrite, a sidecar that was edited by hand counts as an image to caption: only the job
    table knows of it, and it would be kept.
    """
    wanted, skipped = 0, 0
    examples: list[str] = []
    problems: list[str] = []
    limit = spec.selection.limit
    for chunk in chunks(spec):
        problems += [f"{path}: {reason}" for path, _, reason in chunk.refused]
        skipped += len(chunk.skipped)
        images = [*chunk.wanted, *(image for image, _ in chunk.there)]
        wanted += len(images)
        examples += [_example(image, spec) for image in images[: _EXAMPLES - len(examples)]]
        if limit is not None and wanted >= limit:
            wanted, examples = limit, examples[:limit]
            break
    facts = {
        "images": wanted,
        "skipped": skipped,
        "problems": problems,
        "model": spec.captioning.model,
        "variant": spec.captioning.variant,
        "source": choice.variant.source,
        "download_bytes": choice.variant.download_bytes,
        "mode": spec.captioning.mode,
        "prompt": spec.captioning.prompt,
        "generation": spec.captioning.generation.model_dump(exclude_none=True),
        "worker": spec.placement.url or _WHERE[spec.placement.kind],
        "examples": examples,
    }
    if spec.placement.kind == "runpod":
        from captiv.cli.quote import quoted

        quote = quoted(spec, choice.variant, settings, wanted)
        facts["rental"] = quote.facts() if as_json else quote.lines()
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    for name, value in facts.items():
        if value not in (None, [], {}):
            sys.stdout.write(f"{name}: {_shown(value)}\n")


def _example(image: str, spec: RunSpec) -> str:
    if not spec.output.save:
        return image
    output = spec.output
    path = sidecar_path(image, extension=output.extension, naming=output.naming)
    return f"{image} -> {path}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "".join(f"\n  {item}" for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
