"""Whether a chat server reads the prompts that the model's authors wrote it for.

A chat route renders them by itself, and gets some wrong without a word: the text isn't begun, or
holds `<image>` literally. How many tokens the first prompt has tells. What it should have is
foretold by the worker's package from the checkpoint's files, in a process of its own, beside the
run, for which no answer waits; where these aren't on this machine, or can't be foretold from,
nothing is said.
"""

import io
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process
from PIL import Image

from captiv.clock import monotonic_s
from captiv.offload import offload
from captiv.workers.hub import cached

_log = logging.getLogger(__name__)

_LIMIT_S = 15.0


@dataclass(slots=True)
class Foretelling:
    """A child that foretells how many tokens a prompt has, while its image is captioned."""

    process: Process
    source: str
    prompt: str | None
    image: bytes
    began_s: float
    read: int | None = None
    """How many tokens the server read, once it has answered."""

    def answered(self, prompt: str | None, image: bytes, read: int | None) -> None:
        """Take note of an answer, if it is that to the question which is foretold."""
        if self.read is None and (prompt, image) == (self.prompt, self.image):
            self.read = read

    @property
    def late(self) -> bool:
        """Whether it takes longer than it may."""
        return self.process.returncode is None and self._left_s <= 0

    @property
    def done(self) -> bool:
        """Whether both sides are known."""
        return self.process.returncode is not None and self.read is not None

    async def awaited(self) -> None:
        """Wait for the child, if there is something to compare with, but not for long."""
        if self.read is not None:
            with anyio.move_on_after(self._left_s):
                await self.process.wait()

    async def tokens(self) -> int | None:
        """Return what the child has foretold; None if that isn't known. It is ended."""
        try:
            if self.process.returncode != 0 or self.process.stdout is None:
                return None
            said = b"".join([part async for part in self.process.stdout])
            return int(json.loads(said)["tokens"])
        except Exception as error:  # a check that only warns never fails an image
            _log_unknown(self.source, error)
            return None
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """End the child."""
        with anyio.CancelScope(shield=True):
            if self.process.returncode is None:
                self.process.kill()
            await self.process.aclose()

    @property
    def _left_s(self) -> float:
        return max(0.0, self.began_s + _LIMIT_S - monotonic_s())


async def foretelling(
    source: str, system: str | None, prompt: str | None, image: bytes
) -> Foretelling | None:
    """Have a child foretell the prompt of this image; None where it can't."""
    try:
        question = await offload(_question, source, system, prompt, image)
        if question is None:
            return None
        process = await anyio.open_process(
            [sys.executable, "-P", "-m", "captiv_worker.prompts", source, "--count"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        begun = Foretelling(process, source, prompt, image, monotonic_s())
    except Exception as error:  # a check that only warns never fails an image
        _log_unknown(source, error)
        return None
    assert process.stdin is not None
    try:
        await process.stdin.send(question)
        await process.stdin.aclose()
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        await begun.abandon()
        _log_unknown(source, error)
        return None
    except BaseException:
        await begun.abandon()
        raise
    return begun


def _question(source: str, system: str | None, prompt: str | None, image: bytes) -> bytes | None:
    if not (Path(source).expanduser().is_dir() or cached(source)):
        return None
    with Image.open(io.BytesIO(image)) as opened:
        return json.dumps({"system": system, "prompt": prompt, "size": opened.size}).encode()


def _log_unknown(source: str, error: Exception) -> None:
    _log.info("prompt_not_foretold source=%s error=%s", source, type(error).__name__)


def warning(base: str, source: str, read: int, should: int) -> str:
    """Return what a person is told of a server that reads another prompt than the authors'."""
    return (
        f"{base} read a prompt of {read} tokens, and the model's authors have {should}: the model "
        "may not be asked as it was trained, and its captions may suffer. A vLLM server needs "
        f"their template: `python -m captiv_worker.prompts {source} > template.jinja`, then vllm "
        "serve with --chat-template template.jinja --chat-template-content-format openai."
    )
