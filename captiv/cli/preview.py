"""`--dry-run`: what would be done, without doing it."""

import json
import os
import sys
from pathlib import Path

from captiv.catalog import ModelChoice
from captiv.core.naming import sidecar_path
from captiv.core.spec import RunSpec
from captiv.images.find import find

_EXAMPLES = 3


def preview(spec: RunSpec, choice: ModelChoice, *, as_json: bool) -> None:
    """Print how many images would be captioned, with what, and where the captions would go."""
    wanted, skipped = 0, 0
    examples: list[str] = []
    problems: list[str] = []
    limit = spec.selection.limit
    roots = [Path(root) for root in spec.selection.roots]
    for folder in find(roots, recursive=spec.selection.recursive):
        problems += [f"{p.path} {p.reason}" for p in folder.problems]
        for image in folder.images:
            path = sidecar_path(image, extension=spec.output.extension, naming=spec.output.naming)
            if spec.selection.overwrite == "no" and spec.output.save and _there(path, folder.names):
                skipped += 1
            elif limit is None or wanted < limit:
                wanted += 1
                if len(examples) < _EXAMPLES:
                    examples.append(f"{image} -> {path}")
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
        "worker": spec.placement.url or "this machine",
        "examples": examples,
    }
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    for name, value in facts.items():
        if value not in (None, [], {}):
            sys.stdout.write(f"{name}: {_shown(value)}\n")


def _there(path: str, names: frozenset[str]) -> bool:
    if os.path.basename(path) not in names:
        return False
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "".join(f"\n  {item}" for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
