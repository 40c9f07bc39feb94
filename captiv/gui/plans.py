"""What could be captioned with, and what a wish would come to: models, prompt, images, estimate."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.catalog import FAMILIES, Family, describe, describe_modes
from captiv.catalog.engines import ENGINES
from captiv.gui.room import Room, room_of
from captiv.gui.wishes import Plan, planned, wish_of
from captiv.offload import offload
from captiv.rental.estimate import quoted
from captiv.request.run import contradicted
from captiv.settings import DTYPES
from captiv.sources import provider_of

_CAP = "“Cost at most”"
"""What the page calls `--max-cost`."""


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/models", models),
        Route("/api/plans", plan, methods=["POST"]),
        Route("/api/quotes", quote, methods=["POST"]),
    ]


async def models(request: Request) -> Response:
    """Return the catalog as a worker gives it, and what the settings choose by now."""
    room = room_of(request)
    await offload(room.read_settings)
    return JSONResponse(
        {
            "models": [_family(family) for family in FAMILIES],
            "chosen": _chosen(room),
            "dtypes": list(DTYPES),
            "engines": list(ENGINES),
            "where": _places(room),
        }
    )


async def plan(request: Request) -> Response:
    """Return what would be done for a wish, without doing anything."""
    room = room_of(request)
    return JSONResponse(_told(await planned(room, await wish_of(request))))


async def quote(request: Request) -> Response:
    """Return what would be rented for a wish, how long it takes and what it costs."""
    room = room_of(request)
    found = await planned(room, await wish_of(request))
    images = _to_do(found)
    kind = provider_of(found.spec.placement)
    quote = await quoted(kind, found.spec, found.choice.variant, found.settings, images, room.store)
    return JSONResponse({"images": images, "lines": quote.lines(_CAP), **quote.facts()})


def _told(plan: Plan) -> dict[str, Any]:
    entries, spec, family = plan.extent.entries, plan.spec, plan.choice.family
    return {
        "images": len(entries),
        "captioned": sum(entry.captioned for entry in entries),
        "hand": sum(entry.by == "hand" for entry in entries),
        "to_do": _to_do(plan),
        "family": _family(family),
        "model": spec.captioning.model,
        "variant": spec.captioning.variant,
        "mode": spec.captioning.mode,
        "length": spec.captioning.length,
        "prompt": spec.captioning.prompt,
        "system": family.system or None,
        "generation": spec.captioning.generation.model_dump(exclude_none=True),
        "retries": spec.answers.retries,
        "contradictions": contradicted(plan.options, spec, plan.choice),
    }


def _to_do(plan: Plan) -> int:
    """Return how many images would be captioned, as far as the page knows them."""
    overwrite = plan.spec.selection.overwrite
    if overwrite == "all" or plan.spec.selection.add is not None:
        return len(plan.extent.entries)
    kept = (e.by == "hand" if overwrite == "yes" else e.captioned for e in plan.extent.entries)
    return len(plan.extent.entries) - sum(kept)


def _family(family: Family) -> dict[str, Any]:
    described = describe(family).model_dump(mode="json")
    modes = describe_modes(family).model_dump(mode="json")
    return {**described, "modes": modes["modes"], "options": modes["options"]}


def _chosen(room: Room) -> dict[str, Any]:
    settings = room.settings
    chosen = settings.model
    return {
        "model": chosen.default_model,
        "families": {
            family.name: {
                "variant": chosen.variant_for(family.name),
                "mode": chosen.mode_for(family.name),
                "length": chosen.length_for(family.name),
            }
            for family in FAMILIES
        },
        "generation": settings.generation.model_dump(exclude_none=True),
        "dtype": settings.system.default_torch_dtype,
        "engine": settings.system.engine,
        "batch_size": settings.worker.batch_size,
        "one_line": settings.output.one_line,
    }


def _places(room: Room) -> dict[str, Any]:
    settings = room.settings
    return {
        "first": "runpod" if room.runpod else "url" if settings.worker.url else "local",
        "url": settings.worker.url,
        "runpod": room.runpod or settings.runpod.api_key is not None,
        "key": settings.runpod.api_key is not None,
        "gpu_type": settings.runpod.default_gpu_type,
        "max_cost": settings.runpod.max_cost,
        "fallback": settings.runpod.fallback,
    }
