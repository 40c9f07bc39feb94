"""The page as one ASGI application: its routes behind the guard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from captiv.errors import CaptivError
from captiv.gui import captions, edits, images, pages, plans, pods, runs, settings, shares
from captiv.gui.guard import Guard
from captiv.gui.problems import problem, told
from captiv.gui.room import Room, room_of


def create_app(room: Room, *, port: int, secure: bool) -> ASGIApp:
    """Return the page of a room; the album is filled while the application lives."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with room.watched():
            yield

    app = Starlette(
        routes=routes(),
        exception_handlers={CaptivError: told, 404: _unknown, 405: _unknown},
        lifespan=lifespan,
    )
    app.state.room = room
    return Guard(app, room.sessions, room.hosts, port=port, secure=secure, share=lambda: room.share)


def routes() -> list[BaseRoute]:
    """Return every route of the page."""
    nouns = (pages, images, captions, edits, plans, runs, pods, settings, shares)
    own = [route for noun in nouns for route in noun.routes()]
    return [*own, WebSocketRoute("/live", _live)]


async def _live(socket: WebSocket) -> None:
    await room_of(socket).live.serve(socket)


async def _unknown(request: Request, error: Exception) -> Response:
    return problem(404, "gone", "There is nothing under this address.")
