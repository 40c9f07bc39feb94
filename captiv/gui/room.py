"""What the routes of the page share: one folder, one store, everybody who looks at them."""

import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import HTTPConnection

from captiv.editing import Sidecars
from captiv.gui.album import Album
from captiv.gui.entry import ImageId
from captiv.gui.guard import Hosts
from captiv.gui.inside import Inside
from captiv.gui.listing import Listings
from captiv.gui.live import Live
from captiv.gui.lookout import Lookout
from captiv.gui.previews import Previews
from captiv.gui.progress import Progress
from captiv.gui.scan import Reader
from captiv.gui.session import Sessions
from captiv.gui.share import Share
from captiv.gui.sharing import Sharing
from captiv.gui.show import card
from captiv.gui.thumbnails import Thumbnails
from captiv.gui.underway import UnderWay
from captiv.gui.watch import Watch, progress
from captiv.gui.work import Errands
from captiv.images.budget import allow
from captiv.settings import Loaded, Paths, Settings, installation_secret, page_key, read
from captiv.store import Store


@dataclass(slots=True)
class Room:
    """Everything behind one page."""

    root: Path
    paths: Paths
    settings: Settings
    store: Store
    sessions: Sessions
    hosts: Hosts
    sidecars: Sidecars
    album: Album
    listings: Listings
    thumbnails: Thumbnails
    reader: Reader
    inside: Inside
    live: Live
    work: Errands
    progress: Progress
    lookout: Lookout
    reads_settings: Callable[[], Loaded]
    """Reads file and environment; the command line's also keeps their secrets out of the log."""
    runpod: bool = False
    """Whether runs are on RunPod unless somebody says otherwise."""
    share: Share | None = None
    """The page's share, from before it is open until after it is over."""
    sharing: Sharing | None = None
    """What keeps it open."""
    previews: Previews = field(default_factory=Previews)
    under_way: UnderWay = field(default_factory=UnderWay)
    """Bulk edits that are being made or undone."""
    address: str = ""
    """Where the page is, once it listens."""
    boot: str = field(default_factory=lambda: secrets.token_hex(6))
    editing: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while a caption is compared and written, so that of two tabs one comes first."""

    @classmethod
    def open(cls, root: Path, paths: Paths, settings: Settings, store: Store) -> "Room":
        """Put the parts together; nothing is read yet."""
        folder = str(root)
        allow(settings.images.memory_mb)
        album = Album(folder)
        sidecars = Sidecars(settings, None, None)
        live = Live(lambda ids: _cards(album, ids), lambda: _hello(room))
        work = Errands(paths)
        room = cls(
            root=root,
            paths=paths,
            settings=settings,
            store=store,
            sessions=Sessions(page_key(installation_secret(paths.secret_file), folder)),
            hosts=Hosts({"127.0.0.1", "localhost", "::1"}),
            sidecars=sidecars,
            album=album,
            listings=Listings(album),
            thumbnails=Thumbnails(paths.cache_dir / "thumbnails"),
            reader=Reader(folder, sidecars, store),
            inside=Inside(folder),
            live=live,
            work=work,
            progress=Progress(store, live, work),
            lookout=Lookout(paths, lambda: room.settings, store, live),
            reads_settings=lambda: read(paths),
        )
        return room

    def read_settings(self) -> Loaded:
        """Read the settings anew; what begins afterwards goes by them.

        Raises:
            ConfigurationError: the file or the environment is wrong; the old ones stay.
        """
        loaded = self.reads_settings()
        output, self.settings = self.settings.output, loaded.settings
        if output != self.settings.output:
            self.sidecars.follow(self.settings)
        return loaded

    def watched(self) -> AbstractAsyncContextManager[None]:
        """Keep the album true, and let runs work, as long as the context lasts."""
        watch = Watch(self.album, self.reader, self.store, self.live)
        return _watching(self, watch)


def room_of(connection: HTTPConnection) -> Room:
    """Return the room that a request came into."""
    room: Room = connection.app.state.room
    return room


@asynccontextmanager
async def _watching(room: Room, watch: Watch) -> Any:
    async with anyio.create_task_group() as tg:
        tg.start_soon(watch.run)
        tg.start_soon(room.progress.follow)
        if room.sharing is not None:
            tg.start_soon(room.sharing.run)
        tg.start_soon(room.lookout.run)
        async with room.work.at_work():
            yield
        tg.cancel_scope.cancel()


def _cards(album: Album, ids: Iterable[ImageId]) -> list[dict[str, Any]]:
    return [card(entry) for id in ids if (entry := album.entries.get(id)) is not None]


def _hello(room: Room) -> dict[str, Any]:
    return {"boot": room.boot, "version": room.album.version, **progress(room.album)}
