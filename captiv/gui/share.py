"""A page that is shared: a passphrase, what it lets people do, and until when.

    opening ──opened──► open ──end──► over
       └────────────────end───────────►

Visitors' sessions are signed with a key that lives and dies with the share: when it is over, or
captiv ends, every one of them is worthless. The passphrase is kept as a hash only. Nobody comes in
before the tunnel has told under which name the page is reached, and only under that name.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import anyio

from captiv.clock import now_s
from captiv.errors import UsageError
from captiv.gui.rights import Right
from captiv.gui.throttle import Throttle
from captiv.gui.words import words

HOURS: Final = 8.0
_WORDS: Final = 4


@dataclass(frozen=True, slots=True)
class Entered:
    """The passphrase was right: the session that it opens."""

    session: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It was wrong, or came too soon to be looked at; the next one is heard after `wait_s`."""

    wait_s: float
    heard: bool


@dataclass(slots=True, eq=False)
class Share:
    """One time of sharing."""

    right: Right
    until: float
    """When it ends, by `clock`."""
    clock: Callable[[], float] = now_s
    url: str = ""
    ended: anyio.Event = field(default_factory=anyio.Event)
    _because: str = ""
    _origin: str = ""
    _name: str = ""
    _salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    _digest: bytes = field(default=b"", repr=False)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _throttle: Throttle = field(default_factory=Throttle)

    @classmethod
    def begin(
        cls, right: Right, hours: float = HOURS, clock: Callable[[], float] = now_s
    ) -> tuple["Share", str]:
        """Return a share and its passphrase, which is nowhere else."""
        known = words()
        passphrase = " ".join(secrets.choice(known) for _ in range(_WORDS))
        share = cls(right, clock() + hours * 3600, clock)
        share._digest = share._hash(passphrase)
        return share, passphrase

    @property
    def state(self) -> str:
        """`opening`, `open` or `over`."""
        if self.over_because:
            return "over"
        return "open" if self.url else "opening"

    @property
    def over_because(self) -> str:
        """Why it is over; empty until then."""
        if self._because:
            return self._because
        return "Its time is over." if self.clock() >= self.until else ""

    @property
    def name(self) -> str:
        """The host under which it is reached, without port; empty before that is known."""
        return self._name

    def opened(self, url: str) -> None:
        """The tunnel has told where the page is reached."""
        parts = urlsplit(url)
        self._name = (parts.hostname or "").lower()
        self._origin = f"{parts.scheme}://{parts.netloc}".lower()
        self.url = url.rstrip("/")

    def end(self, why: str) -> None:
        """Let nobody in any more; what ended it first is why."""
        self._because = self.over_because or why
        self.ended.set()

    def is_origin(self, origin: str) -> bool:
        """Tell whether a browser that names this origin shows the shared page."""
        return origin.lower() == self._origin

    def enter(self, passphrase: str, remote: str) -> Entered | Refused:
        """Hear a passphrase, unless it comes too soon after wrong ones."""
        now = self.clock()
        if (wait_s := self._throttle.wait_s(remote, now)) > 0:
            return Refused(wait_s, heard=False)
        if not hmac.compare_digest(self._hash(passphrase), self._digest):
            return Refused(self._throttle.wrong(remote, now), heard=True)
        self._throttle.right(remote)
        nonce = secrets.token_hex(16)
        return Entered(f"{nonce}.{self._signature(nonce)}")

    def admits(self, session: str) -> bool:
        """Tell whether a session was opened by the passphrase of this share, which is not over."""
        nonce, _, signature = session.partition(".")
        expected = self._signature(nonce).encode()
        given = signature.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, expected) and self.state == "open"

    def left_s(self) -> float:
        """Return for how long it goes on."""
        return max(0.0, self.until - self.clock())

    def _hash(self, passphrase: str) -> bytes:
        typed = " ".join(passphrase.casefold().replace("-", " ").split())
        return hashlib.sha256(self._salt + typed.encode("utf-8", "surrogatepass")).digest()

    def _signature(self, nonce: str) -> str:
        what = nonce.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, what, hashlib.sha256).hexdigest()


def checked_url(url: str) -> str:
    """Return the address of somebody's own tunnel as it may be shared.

    Raises:
        UsageError: it is not https, or more than a host.
    """
    parts = urlsplit(url)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme != "https" or not parts.hostname or not plain:
        raise UsageError(
            f"{url} is no address that a page can be shared under.",
            hint="An address like https://name.example: https, and nothing after the host.",
        )
    return url.rstrip("/")
