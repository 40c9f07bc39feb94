"""The page itself: one document, its styles and modules under an address that changes with them."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv import __version__
from captiv.core.spec import MAX_RETRIES
from captiv.gui.inputs import number_inputs
from captiv.gui.problems import Gone
from captiv.gui.rights import OWN, held
from captiv.gui.room import room_of
from captiv.gui.show import readable
from captiv.wire import Generation

_HERE: Final = Path(__file__).parent
_STATIC: Final = _HERE / "static"
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Said here: what a system's own table of types says of .js differs, and browsers are strict."""
_FOREVER: Final = "private, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """A style or module, read once; its address changes with it, so the browser keeps it."""

    media_type: str
    data: bytes
    packed: bytes

    def response(self, request: Request) -> Response:
        """Return it, packed for a browser that unpacks."""
        headers = {"cache-control": _FOREVER, "vary": "accept-encoding"}
        if not _unpacks(request):
            return Response(self.data, 200, headers, self.media_type)
        headers["content-encoding"] = "gzip"
        return Response(self.packed, 200, headers, self.media_type)


def routes() -> list[BaseRoute]:
    """Return the routes of this noun; reads the templates and files once."""
    files = _files(_STATIC)
    base = f"/static/{_fingerprint(files)}"
    page = _template("page.html")
    modules = [name.removeprefix("js/") for name in files if name.startswith("js/")]
    decoding = list(number_inputs(Generation))
    styles = [name.removeprefix("css/") for name in files if name.startswith("css/")]

    async def index(request: Request) -> Response:
        room, right = room_of(request), held(request)
        html = page.render(
            base=base,
            modules=modules,
            styles=styles,
            folder=readable(room.root.name or str(room.root)),
            path=readable(str(room.root) if right is OWN else room.root.name),
            may=right.word,
            version=__version__,
            decoding=decoding,
            max_retries=MAX_RETRIES,
        )
        if not _unpacks(request):
            return HTMLResponse(html)
        packed = {"content-encoding": "gzip", "vary": "accept-encoding"}
        return HTMLResponse(gzip.compress(html.encode(), 6), 200, packed)

    async def static(request: Request) -> Response:
        file = files.get(request.path_params["name"])
        if file is None:
            raise Gone("There is no such file.")
        return file.response(request)

    return [
        Route("/", index),
        Route("/api/links", link, methods=["POST"]),
        Route(base + "/{name:path}", static),
    ]


async def link(request: Request) -> Response:
    """Return a link that opens the page in another browser, once."""
    room = room_of(request)
    return JSONResponse({"url": f"{room.address}/?token={room.sessions.link_token()}"})


def _unpacks(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _files(folder: Path) -> dict[str, File]:
    """Return everything in a folder, by its path below."""
    found = {}
    for place in sorted(folder.rglob("*")):
        if place.suffix in _TYPES:
            data = place.read_bytes()
            name = place.relative_to(folder).as_posix()
            found[name] = File(_TYPES[place.suffix], data, gzip.compress(data, mtime=0))
    return found


def _fingerprint(files: Mapping[str, File]) -> str:
    """Return a short hash of all files."""
    digest = hashlib.sha256()
    for name, file in files.items():
        digest.update(name.encode() + b"\0" + file.data)
    return digest.hexdigest()[:12]
