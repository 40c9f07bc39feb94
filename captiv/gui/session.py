"""Who may see the page: a link that works once, and the session that it opens.

A link carries a random token of which this process keeps only the hash; whoever comes with it first
gets a session. A session is a signed time: an HMAC under a key that follows from the installation's
secret and the opened folder. So a tab survives a restart of captiv, and a session for one folder
opens no other. It ends a day after it was last renewed.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from captiv.clock import now_s

LIFETIME_S: Final = 24 * 3600
RENEW_AFTER_S: Final = 3600
_LINKS: Final = 32
"""Links that wait to be used; the oldest is forgotten first."""


@dataclass(slots=True)
class Sessions:
    """Makes links and sessions, and tells whether one is valid."""

    key: bytes = field(repr=False)
    clock: Callable[[], float] = now_s
    _links: dict[bytes, None] = field(default_factory=dict, repr=False)

    def link_token(self) -> str:
        """Return a token that opens one session."""
        token = secrets.token_urlsafe(32)
        self._links[_digest(token)] = None
        while len(self._links) > _LINKS:
            self._links.pop(next(iter(self._links)))
        return token

    def redeem(self, token: str) -> str | None:
        """Return a new session for a link's token, or None if it is wrong or was used."""
        wanted = _digest(token)
        found = next((d for d in self._links if hmac.compare_digest(d, wanted)), None)
        if found is None:
            return None
        del self._links[found]
        return self.opened()

    def opened(self) -> str:
        """Return a session that begins now."""
        began = str(int(self.clock()))
        return f"{began}.{self._signature(began)}"

    def age_s(self, session: str) -> float | None:
        """Return how old a session is; None if it is no session of ours, or too old."""
        began, _, signature = session.partition(".")
        if not (began.isascii() and began.isdigit() and len(began) < 16):
            return None
        if not hmac.compare_digest(signature.encode(), self._signature(began).encode()):
            return None
        age = self.clock() - int(began)
        return age if -60 <= age < LIFETIME_S else None

    def _signature(self, began: str) -> str:
        return hmac.new(self.key, began.encode(), hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
