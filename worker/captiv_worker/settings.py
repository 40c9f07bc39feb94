"""What a worker is started with: arguments, and the token from environment or standard input."""

import argparse
import hashlib
import json
import os
import re
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captiv import __version__
from captiv.catalog.engines import ENGINES
from captiv.catalog.model import DEVICE, DEVICES, IMAGE_MEMORY_MB, QUANTISED
from captiv_worker.engines.choice import AUTO

TOKEN = "CAPTIV_WORKER_TOKEN"
TOKEN_SHA256 = "CAPTIV_WORKER_TOKEN_SHA256"

DTYPES = ("auto", "float32", "float16", "bfloat16", *QUANTISED)

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker is started with."""

    token_sha256: bytes | None = None
    """None lets everybody in."""
    model: str | None = None
    variant: str | None = None
    source: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    max_batch: int | None = None
    permits: int | None = None
    engine: str = AUTO
    """One of ENGINES, or `module:attribute` of one of one's own."""
    engine_options: dict[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    name: str = "worker"
    batch_file: Path | None = None
    shares: int = 1
    """How many workers share the cores of this machine."""
    image_memory_mb: int = IMAGE_MEMORY_MB
    """What decoded pictures may take at the same time."""
    log_level: str = "info"
    stdin_token: bool = False
    guard_folder: Path | None = None
    """None where no guard watches."""
    restarts: int = 0
    killed: bool = False
    unloaded: bool = False

    @property
    def own_engine(self) -> str | None:
        """The engine of one's own, if one is named."""
        return self.engine if ":" in self.engine else None


class Wrong(Exception):
    """The arguments or the environment are wrong, in a sentence."""


def parse(arguments: Sequence[str], environ: MutableMapping[str, str]) -> Settings:
    """Return the settings; the token is taken out of the environment.

    Exits with status 2 and a sentence if the arguments are wrong or there is no token.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    open_to_all = given.pop("no_token")
    try:
        token_sha256 = _token(given["stdin_token"], environ)
        _check_open(open_to_all, given["host"], token_sha256)
    except Wrong as error:
        parser.error(str(error))
    return Settings(token_sha256=token_sha256, **given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="captiv-worker",
        description="Serve captions over HTTP. The token comes from --stdin-token, or from the "
        f"environment: {TOKEN_SHA256} (its SHA-256 in hex) or {TOKEN}.",
    )
    parser.add_argument("--version", action="version", version=f"captiv-worker {__version__}")
    model = parser.add_argument_group("what to serve")
    model.add_argument("--model", help="family, variant, local directory or hub id")
    model.add_argument("--variant", help="variant of the family")
    model.add_argument("--source", help="take the weights from this directory or hub id instead")
    model.add_argument(
        "--device",
        type=_device,
        default="auto",
        metavar="NAME",
        help=DEVICES,
    )
    model.add_argument("--dtype", choices=DTYPES, default="auto")
    model.add_argument("--max-batch", type=_count, default=None, metavar="N|auto")
    model.add_argument("--permits", type=_count, default=None, metavar="N|auto")
    model.add_argument(
        "--engine",
        type=_engine,
        default=AUTO,
        metavar="NAME",
        help="auto, transformers or vllm, or MODULE:ATTRIBUTE of an engine of your own; auto takes "
        "vllm where it is installed and can do what is asked",
    )
    model.add_argument("--engine-options", type=_options, default={}, metavar="JSON")
    server = parser.add_argument_group("where and how")
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=0, help="0 takes a free one")
    server.add_argument("--name", default="worker", help="what it calls itself")
    server.add_argument(
        "--stdin-token",
        action="store_true",
        help="read the token from standard input, and end when that closes",
    )
    server.add_argument("--no-token", action="store_true", help="let everybody in; loopback only")
    server.add_argument("--batch-file", type=Path, help="where the running batch is remembered")
    server.add_argument(
        "--shares",
        type=int,
        default=1,
        metavar="N",
        help="so many workers share this machine's CPU",
    )
    server.add_argument(
        "--image-memory-mb",
        type=_megabytes,
        default=IMAGE_MEMORY_MB,
        metavar="N",
        help=f"what decoded pictures may take at the same time ({IMAGE_MEMORY_MB})",
    )
    server.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info"
    )
    guard = parser.add_argument_group("set by the guard (python -m captiv_worker.guard)")
    guard.add_argument(
        "--guard-folder",
        type=Path,
        help="what both share; the worker ends when its standard input closes",
    )
    guard.add_argument("--restarts", type=int, default=0, help="since the last caption")
    guard.add_argument("--killed", action="store_true", help="the last life ended by SIGKILL")
    guard.add_argument("--unloaded", action="store_true", help="load no model: the pod has to end")
    return parser


def _engine(text: str) -> str:
    if text not in ENGINES and ":" not in text:
        raise argparse.ArgumentTypeError(f"{', '.join(ENGINES)} or MODULE:ATTRIBUTE")
    return text


def _device(text: str) -> str:
    if not re.fullmatch(DEVICE, text):
        raise argparse.ArgumentTypeError(DEVICES)
    return text


def _count(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number from 1, or auto")
    return int(text)


def _megabytes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number of MB from 1")
    return int(text)


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from error
    if not isinstance(options, dict):
        raise argparse.ArgumentTypeError("a JSON object")
    return options


def _token(from_stdin: bool, environ: MutableMapping[str, str]) -> bytes | None:
    """Return the SHA-256 of the token, taking it out of where other code could see it."""
    token = environ.pop(TOKEN, "")
    given = environ.pop(TOKEN_SHA256, "")
    if from_stdin:
        token = _first_line()
        if not token:
            raise Wrong("--stdin-token: standard input brought no token.")
    elif given:
        if not _DIGEST.fullmatch(given):
            raise Wrong(f"{TOKEN_SHA256} is no SHA-256 in hex.")
        return bytes.fromhex(given)
    return hashlib.sha256(token.encode()).digest() if token else None


def _first_line() -> str:
    """Return the first line of standard input, and not a byte more."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode().strip()


def _check_open(open_to_all: bool, host: str, token_sha256: bytes | None) -> None:
    if token_sha256 is not None:
        if open_to_all:
            raise Wrong("--no-token contradicts the token that is set.")
        return
    if not open_to_all:
        raise Wrong(f"there is no token: set {TOKEN}, or use --stdin-token.")
    if host not in _LOOPBACK:
        raise Wrong(f"--no-token lets everybody in who reaches {host}: only 127.0.0.1 may be open.")


def environment() -> MutableMapping[str, str]:
    """Return the process's environment, from which `parse` takes the token."""
    return os.environ
