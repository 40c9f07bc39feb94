"""The settings: what each is, where its value comes from, and the way to another one.

They are checked and written by the code of `captiv config`. A secret is only ever written: what
leaves this process is whether there is one, and from where.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.errors import UsageError
from captiv.gui.bodies import body_of
from captiv.gui.room import Room, room_of
from captiv.gui.show import readable
from captiv.offload import offload
from captiv.settings import Loaded
from captiv.settings.changes import change, known, overriding, take_out
from captiv.settings.keys import SECTIONS, Key, keys_of

_LONGEST_BYTES = 20_000
_AT_START: Mapping[str, str] = {"gui": "Counts when the page is started the next time."}


class Typed(BaseModel):
    """What a person typed for one setting."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    value: Annotated[str, StringConstraints(min_length=1, max_length=4000)]


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/settings", listed, methods=["GET"]),
        Route("/api/settings/{section}/{name}", put, methods=["PUT"]),
        Route("/api/settings/{section}/{name}", unset, methods=["DELETE"]),
    ]


async def listed(request: Request) -> Response:
    """Return every setting by section, read anew."""
    room = room_of(request)
    return JSONResponse(_all(room, await offload(room.read_settings)))


async def put(request: Request) -> Response:
    """Set one; return it as it is then."""
    key = _key(request)
    wrong = f"This is no value for {key}."
    typed = await body_of(request, Typed, most_bytes=_LONGEST_BYTES, wrong=wrong)
    room = room_of(request)
    if "\n" in typed.value or "\r" in typed.value:
        raise UsageError(f"{key} is one line.", hint=key.description)
    await offload(change, room.paths.config_file, key, typed.value)
    return await _changed(room, key)


async def unset(request: Request) -> Response:
    """Take one out of the file; return it as it is then."""
    room, key = room_of(request), _key(request)
    await offload(take_out, room.paths.config_file, key)
    return await _changed(room, key)


async def _changed(room: Room, key: Key) -> Response:
    """Use the settings from now on, and tell the other tabs."""
    loaded = await offload(room.read_settings)
    room.live.tell("settings", {"changed": str(key)})
    if key.section == "output":
        room.live.looked.set()  # captions may lie elsewhere now: the folder is read again
    return JSONResponse(_shown(key, loaded))


def _key(request: Request) -> Key:
    return known(request.path_params["section"], request.path_params["name"])


def _all(room: Room, loaded: Loaded) -> dict[str, Any]:
    sections = [
        {
            "name": name,
            "about": (section.__doc__ or "").partition("\n")[0],
            "note": _AT_START.get(name, ""),
            "settings": [_shown(key, loaded) for key in keys_of(name)],
        }
        for name, section in SECTIONS.items()
    ]
    return {"file": readable(str(room.paths.config_file)), "sections": sections}


def _shown(key: Key, loaded: Loaded) -> dict[str, Any]:
    """Return one setting; of a secret nothing but whether there is one."""
    value, origin = loaded.settings.value(key.section, key.name), loaded.origin(key)
    return {
        "section": key.section,
        "name": key.name,
        "about": key.description,
        "takes": key.takes,
        "choices": _choices(key),
        "secret": key.secret,
        "set": value is not None,
        "value": None if key.secret else _text(key.shown(value)),
        "default": None if key.secret else _text(key.shown(key.default)),
        "from": origin.kind,
        "where": origin.where,
        "overridden_by": overriding(key),
        "unused": key.unused,
    }


def _choices(key: Key) -> list[str]:
    return list(key.choices) or (["true", "false"] if key.takes == "true or false" else [])


def _text(value: object) -> str | None:
    """Return a value as a person types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
