"""Runs: begun, followed, gone on with, tried again, paused, cancelled."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.clock import now_ms
from captiv.core.jobs import Run, RunId, RunState
from captiv.errors import UsageError
from captiv.gui.bodies import body_of
from captiv.gui.problems import Gone
from captiv.gui.room import Room, room_of
from captiv.gui.wishes import planned, wish_of
from captiv.offload import offload
from captiv.store import jobs, runs

_LONGEST_BYTES = 10_000


class Again(BaseModel):
    """Which failures are tried again: those with one code, or all."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/runs", listed, methods=["GET"]),
        Route("/api/runs", begin, methods=["POST"]),
        Route("/api/runs/{run:int}", one, methods=["GET"]),
        Route("/api/runs/{run:int}/captions", written, methods=["GET"]),
        Route("/api/runs/{run:int}/resume", resume, methods=["POST"]),
        Route("/api/runs/{run:int}/retry", retry, methods=["POST"]),
        Route("/api/runs/{run:int}/pause", pause, methods=["POST"]),
        Route("/api/runs/{run:int}/cancel", cancel, methods=["POST"]),
    ]


async def listed(request: Request) -> Response:
    """Return the last runs of this installation, whoever began them, the newest first."""
    room = room_of(request)
    return JSONResponse(await room.progress.now())


async def one(request: Request) -> Response:
    """Return one run: its numbers, its pace, why images of it failed."""
    room = room_of(request)
    return JSONResponse(await room.progress.whole(await _run(room, request)))


async def written(request: Request) -> Response:
    """Return the captions that a run has brought so far, the first ones of it."""
    room = room_of(request)
    run = await _run(room, request)
    return JSONResponse({"captions": await room.progress.captions(run)})


async def begin(request: Request) -> Response:
    """Begin a run, or go on with the unfinished one that asks for the same."""
    room = room_of(request)
    plan = await planned(room, await wish_of(request))
    errand = await room.work.start(plan.settings, lambda service: service.caption(plan.spec))
    return await _told(room, errand.run)


async def resume(request: Request) -> Response:
    """Go on with an unfinished run."""
    room = room_of(request)
    run = await _run(room, request)
    if run.state is not RunState.ACTIVE:
        raise UsageError(f"Run {run.id} is {run.state} already.")
    return await _resumed(room, run)


async def retry(request: Request) -> Response:
    """Try failed images again, or write what waits for its file, and go on with the run."""
    room = room_of(request)
    wrong = "This cannot be tried again."
    again = await body_of(request, Again, most_bytes=_LONGEST_BYTES, wrong=wrong)
    run = await _run(room, request)
    count = await room.store.awrite(jobs.retry, run.id, again.code)
    if not count and not run.counts.open:
        raise UsageError(f"Run {run.id} has nothing to be tried again.")
    return await _resumed(room, run)


async def pause(request: Request) -> Response:
    """Have a run of this page finish what is at a worker and rest; asked again, stop at once."""
    room = room_of(request)
    run = await _run(room, request)
    if not room.work.interrupt(run.id):
        raise UsageError(f"Run {run.id} is not at work on this page.")
    return await _told(room, run.id)


async def cancel(request: Request) -> Response:
    """Set a run aside: its images wait for nothing any more, what is done stays."""
    room = room_of(request)
    run = await _run(room, request)
    if run.state is not RunState.ACTIVE:
        raise UsageError(f"Run {run.id} is {run.state} already.")
    await room.store.awrite(runs.set_aside, run.id, now_ms())
    return await _told(room, run.id)


async def _resumed(room: Room, run: Run) -> Response:
    loaded = await offload(room.read_settings)
    errand = await room.work.start(loaded.settings, lambda service: service.resume(run.id))
    return await _told(room, errand.run)


async def _told(room: Room, run: RunId | None) -> Response:
    assert run is not None
    return JSONResponse(await room.progress.whole(await room.store.aread(runs.get, run)))


async def _run(room: Room, request: Request) -> Run:
    number = request.path_params["run"]
    found = await room.store.aread(runs.find, RunId(number)) if number < 2**63 else None
    if found is None:
        raise Gone(f"There is no run {number}.")
    return found
