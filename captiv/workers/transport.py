"""Over what a token may travel, what a token may be, and the proxy that may stand between."""

import ssl
from urllib.parse import SplitResult, urlsplit

from captiv.errors import ConfigurationError

PROXY_STATUS = 407
PROXY_REFUSED = "The proxy on the way to {url} asks for a user and a password (HTTP 407)."
PROXY_HINT = (
    "Put both into HTTPS_PROXY (or HTTP_PROXY): http://USER:PASSWORD@HOST:PORT; "
    "or name the host in NO_PROXY."
)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_transport(url: str, *, insecure: bool) -> None:
    """Refuse to send a token in clear over a network.

    Raises:
        ConfigurationError: not an http(s) URL, or http to another machine without `insecure`.
    """
    parts = _parts(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "The worker's address carries a user or password, which logs would show.",
            hint="Leave it out; the token has a place of its own: CAPTIV_WORKER_TOKEN.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_url(url)
    if parts.scheme == "http" and not is_loopback(url) and not insecure:
        raise ConfigurationError(
            f"{url} would carry the token and your images in clear.",
            hint="Use https, or --insecure if the network between is your own.",
        )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is looked at only when it is asked for
    except ValueError as error:
        raise _no_url(url) from error
    return parts


def _no_url(url: str) -> ConfigurationError:
    return ConfigurationError(
        f"{url!r} is not the URL of a worker.", hint="It looks like https://host:port."
    )


def checked_token(token: str) -> str:
    """Return a token that a header can carry.

    Raises:
        ConfigurationError: it cannot; the token is not shown.
    """
    if not token or any(not "!" <= character <= "~" for character in token):
        raise ConfigurationError(
            "The worker's token is empty, or has a character that no HTTP header carries.",
            hint="Set CAPTIV_WORKER_TOKEN to the token alone.",
        )
    return token


def is_loopback(url: str) -> bool:
    """Whether this URL is of this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def is_proxys_refusal(error: Exception) -> bool:
    """Whether a proxy wants to know who asks: over https its answer is an error of the client's."""
    return type(error).__name__ == "ProxyError" and str(error).startswith(str(PROXY_STATUS))


def tls(url: str) -> ssl.SSLContext | bool:
    """Loading the system's roots takes 20 ms that a loopback worker does not need."""
    return not url.startswith("http://")
