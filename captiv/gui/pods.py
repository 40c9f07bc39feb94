"""Pods of the RunPod account: seen, made, ended, their logs. The same as `captiv runpod`."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from captiv.errors import CaptivError, UsageError
from captiv.gui.bodies import body_of
from captiv.gui.room import Room, room_of
from captiv.gui.show import readable
from captiv.rental import actions
from captiv.rental.provider import LogSource

_LONGEST_BYTES = 10_000
_TAIL = 300

Word = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class Wanted(BaseModel):
    """A pod that is to be made; what is None, the settings decide."""

    model_config = ConfigDict(extra="forbid")

    model: Word | None = None
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,20}$")] | None = None
    gpu_type: Word | None = None
    cloud: Literal["any", "secure", "community"] | None = None
    disk: Annotated[int, Field(ge=1, le=10_000)] | None = None


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/pods", listed, methods=["GET"]),
        Route("/api/pods", make, methods=["POST"]),
        Route("/api/pods/sweep", sweep, methods=["POST"]),
        Route("/api/pods/{pod}/end", farewell, methods=["GET"]),
        Route("/api/pods/{pod}", end, methods=["DELETE"]),
        Route("/api/pods/{pod}/log", log, methods=["GET"]),
    ]


async def listed(request: Request) -> Response:
    """Return the pods as they were seen last; whoever asks often has them looked at often."""
    room = room_of(request)
    room.lookout.watch()
    return JSONResponse(room.lookout.now())


async def make(request: Request) -> Response:
    """Begin to make a pod by hand; the topic `pods` tells how far it is."""
    room = room_of(request)
    wrong = "Such a pod cannot be made: its name is a word of small letters and digits."
    wanted = await body_of(request, Wanted, most_bytes=_LONGEST_BYTES, wrong=wrong)
    async with room.lookout.account():  # without a key, refused before anything begins
        pass
    if room.lookout.busy:
        raise UsageError("A pod is being made already.", hint="Wait until it is there.")
    given = {
        "cloud": wanted.cloud,
        "container_disk_size": wanted.disk,
    }
    said = {key: value for key, value in given.items() if value is not None}
    runpod = room.settings.runpod.model_copy(update=said)
    settings = room.settings.model_copy(update={"runpod": runpod})
    room.lookout.make(settings, wanted.model, wanted.name, wanted.gpu_type)
    return JSONResponse(room.lookout.now(), 202)


async def farewell(request: Request) -> Response:
    """Return what the end of a pod would mean, for the person to say yes to."""
    room, pod = room_of(request), request.path_params["pod"]
    async with room.lookout.account() as account:
        doomed = await actions.to_terminate(account, room.store, pod)
    return JSONResponse({"question": readable(doomed.question)})


async def end(request: Request) -> Response:
    """End a pod for good, and see that it is gone."""
    room, pod = room_of(request), request.path_params["pod"]
    async with room.lookout.account() as account:
        doomed = await actions.to_terminate(account, room.store, pod)
        said = await actions.terminate(account, room.store, doomed)
    room.lookout.look()
    return JSONResponse({"said": said})


async def sweep(request: Request) -> Response:
    """End the pods of this installation that nobody needs."""
    swept = await room_of(request).lookout.sweep()
    return JSONResponse({"swept": [asdict(one) for one in swept]})


async def log(request: Request) -> Response:
    """Return a pod's log as it comes, a JSON object a line, until pod or reader are gone."""
    room, pod = room_of(request), request.path_params["pod"]
    source = request.query_params.get("source", "container")
    if source not in ("container", "system"):
        raise UsageError("A pod has two logs: container and system.")
    async with room.lookout.account() as account:  # refused with a status, not in the stream
        found = await actions.alive(account, room.store, pod)
    lines = _lines(room, found.id, "system" if source == "system" else "container")
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def _lines(room: Room, pod: str, source: LogSource) -> AsyncIterator[str]:
    try:
        async with room.lookout.account() as account:
            lines = account.provider.logs(pod, source, tail=_TAIL, follow=True)
            async with aclosing(lines):
                async for line in lines:
                    at_ms = None if line.at is None else round(line.at.timestamp() * 1000)
                    said = {"at_ms": at_ms, "text": readable(line.text.rstrip())}
                    yield json.dumps(said) + "\n"
    except CaptivError as error:
        yield json.dumps({"error": error.message}) + "\n"
