"""Serves the page until Ctrl-C: the port, TLS, the link, the browser."""

import logging
import signal
import socket
import ssl
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

import uvicorn

from captiv.errors import ConfigurationError, UsageError
from captiv.gui.app import create_app
from captiv.gui.rights import Right
from captiv.gui.room import Room
from captiv.gui.share import HOURS, Share
from captiv.gui.sharing import Sharing
from captiv.gui.tunnels import Tunnel, choose_tunnel
from captiv.images.find import require_folder
from captiv.settings import Loaded, Paths, Settings
from captiv.signals import is_hangup
from captiv.store import Store

_log = logging.getLogger(__name__)

_GRACE_S: Final = 2
_ENDING: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
)
_OTHERS: Final = 20
"""Ports that are tried after the usual one."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where and how the page is served."""

    root: Path
    host: str
    port: int
    port_named: bool
    """Whether the person asked for this very port."""
    keyfile: Path | None = None
    certfile: Path | None = None
    opens_browser: bool = True
    share: Right | None = None
    """What others may do who have the passphrase; None shares with nobody."""
    share_url: str | None = None
    share_hours: float = HOURS
    runpod: bool = False
    """Whether runs are on RunPod unless somebody says otherwise."""


class Server(uvicorn.Server):
    """uvicorn, that says when it listens and ends without raising its signal again."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to listen, then end what is at work, in a hurry too: pods must be ended."""
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves the application as it is then
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal: the first one ends the page softly, any second one in a hurry.

        But for a hang-up: kernel and shell both hang up when a terminal is closed.
        """
        if not (self.should_exit and is_hangup(signal.Signals(sig))):
            self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end a command, but for those it was told to ignore (nohup)."""
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self.handle_exit)
        yield


def launch(
    options: Options,
    paths: Paths,
    settings: Settings,
    *,
    on_link: Callable[[str], None],
    on_note: Callable[[str], None],
    on_share: Callable[[str, str], None],
    reads_settings: Callable[[], Loaded],
) -> None:
    """Serve the page until a signal comes, then let its runs finish what is at a worker.

    `on_link` is told the link that opens the page, `on_note` what a person should know,
    `on_share` the address and the passphrase of a shared page; `reads_settings` is asked when they
    were changed.

    Raises:
        UsageError: there is no such folder or host, or its port is taken.
        ConfigurationError: the TLS files are no key and certificate.
    """
    root = options.root.absolute()
    require_folder(root)
    secure = _checked_tls(options)
    tunnel = choose_tunnel(options.share_url) if options.share is not None else None
    listener = listen(options)
    host, port = listener.getsockname()[:2]
    paths.make_data_dir()
    _make_table(paths.database)
    with listener, Store.open(paths.database) as store:
        room = Room.open(root, paths, settings, store)
        room.runpod = options.runpod
        room.reads_settings = reads_settings
        room.address = _address(options.host, port, secure=secure)
        _admit(room, options.host, host)
        if tunnel is not None:
            _share(room, options, tunnel, _local(host, port, secure=secure), on_share, on_note)
        config = uvicorn.Config(
            create_app(room, port=port, secure=secure),
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=4096,
            ssl_keyfile=None if options.keyfile is None else str(options.keyfile),
            ssl_certfile=None if options.certfile is None else str(options.certfile),
            timeout_graceful_shutdown=_GRACE_S,
        )

        def ready() -> None:
            link = f"{room.address}/?token={room.sessions.link_token()}"
            _log.info("page listening address=%s folder=%s", room.address, root)
            on_link(link)
            if room.sharing is not None:
                room.sharing.served.set()
            if options.opens_browser:
                # A browser that is not running yet may take seconds to return.
                threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

        server = Server(config, ready)
        room.work.hurried = lambda: server.force_exit
        room.work.on_note = on_note
        server.run(sockets=[listener])


def _make_table(path: Path) -> None:
    """Make a job table that is not there in a process of its own.

    What makes tables would otherwise stay in the memory of this process, 22 MB for as long as the
    page is open. Should it fail, opening the table says why.
    """
    if not path.exists():
        code = (
            "import sys; from pathlib import Path; from captiv.store import migrate;"
            "migrate.ensure(Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)


def _share(
    room: Room,
    options: Options,
    tunnel: Tunnel,
    local: str,
    on_share: Callable[[str, str], None],
    on_note: Callable[[str], None],
) -> None:
    """Have the room shared once it is served."""
    assert options.share is not None
    if options.share_url and urlsplit(options.share_url).hostname in room.hosts.names:
        raise UsageError(
            f"{options.share_url} is what you reach the page by yourself.",
            hint="A page is shared under a name of its own: whoever comes by it is a visitor.",
        )
    share, passphrase = Share.begin(options.share, options.share_hours)
    room.share = share
    room.sharing = Sharing(
        share,
        tunnel,
        local,
        room.hosts,
        room.live,
        on_open=lambda url: on_share(url, passphrase),
        on_note=on_note,
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a host of that name."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def listen(options: Options) -> socket.socket:
    """Return a socket on the port that was asked for, or on the next free one if none was.

    Raises:
        UsageError: the port is taken, or this machine has no such address.
    """
    last = options.port if options.port_named or not options.port else options.port + _OTHERS
    for port in range(options.port, min(last, 65_535) + 1):
        try:
            return _bound(options.host, port)
        except OSError as error:
            if isinstance(error, socket.gaierror) or port == last or not _is_taken(error):
                raise _cannot_listen(options, error) from error
    raise AssertionError("unreachable")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, proto)
    try:
        if sys.platform != "win32":  # where it would let another program take the port, too
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _is_taken(error: OSError) -> bool:
    import errno

    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def _cannot_listen(options: Options, error: OSError) -> UsageError:
    if _is_taken(error):
        return UsageError(
            f"Port {options.port} of {options.host} is taken, perhaps by a captiv in another"
            " terminal.",
            hint="Stop that one, or choose another port: --port 0 takes a free one.",
        )
    return UsageError(
        f"The page cannot be served on {options.host}: {error.strerror or error}.",
        hint="Without --host it is served on 127.0.0.1.",
    )


def _checked_tls(options: Options) -> bool:
    """Return whether the page is served over TLS, after a look at key and certificate."""
    if options.keyfile is None and options.certfile is None:
        return False
    if options.keyfile is None or options.certfile is None:
        raise UsageError("TLS needs both --ssl-keyfile and --ssl-certfile.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.certfile, options.keyfile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{options.certfile} and {options.keyfile} are no certificate with its key: "
            f"{error.strerror or error}.",
            hint="Both are PEM files; the key has no passphrase.",
        ) from error
    return True


def _local(bound: str, port: int, *, secure: bool) -> str:
    """Return where a program on this machine reaches the page."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return _address(everywhere.get(bound, bound), port, secure=secure)


def _address(host: str, port: int, *, secure: bool) -> str:
    name = host
    if host in ("0.0.0.0", "::", ""):
        name = socket.gethostname()
    elif ":" in host:
        name = f"[{host}]"
    return f"{'https' if secure else 'http'}://{name}:{port}"


def _admit(room: Room, asked: str, bound: str) -> None:
    """Say under which names the page may be asked for."""
    room.hosts.names |= {asked.lower(), str(bound).lower()}
    if not is_loopback(asked):
        room.hosts.names.add(socket.gethostname().lower())
        room.hosts.any_address = True
