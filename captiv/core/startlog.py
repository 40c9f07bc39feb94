"""What the log of a starting pod tells: whether a pull or download advances, and what goes wrong.

Two sources write it. The host (`system`) repeats what Docker says of the image, such as
`a3ed95caeb02 Downloading 115MB/2300MB`, and says `start container for …: begin` each time that it
starts the container; nothing else tells that a container ends again and again, for the pod's status
stays RUNNING. The container writes what pip and the guard say.
"""

import re
from typing import Final

_STEP: Final = re.compile(
    r"\b(?:pulling fs layer|downloading|download complete|verifying checksum|extracting"
    r"|pull complete|collecting|installing collected|building wheel)\b|\b\d{1,3} ?%",
    re.IGNORECASE,
)
"""A step of a pull (Docker) or of a download (pip, and whatever shows per cent)."""
_LAYER: Final = re.compile(
    r"^(?P<layer>[0-9a-f]{12}) Downloading"
    r" (?P<done>[\d.]+)(?P<unit>[kMG]?B)/(?P<total>[\d.]+)(?P<of>[kMG]?B)$"
)
_LAYER_WHOLE: Final = re.compile(r"^(?P<layer>[0-9a-f]{12}) (?:Download complete|Pull complete)$")
_UNITS: Final = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_PULL_BEGINS: Final = re.compile(r"\bpulling from\b", re.IGNORECASE)
_STARTED: Final = re.compile(r"^start container\b.*\bbegin\b", re.IGNORECASE)
_NOT_PULLED: Final = re.compile(
    r"\berror pulling image\b:?\s*(.*)|\bpull access denied\b(.*)", re.I
)
_WORKER_ENDED: Final = re.compile(r"\bworker_ended code=-?\d+ restarts=(\d+)")

_NOT_INSTALLED: Final = re.compile(r"^bootstrap install_failed (.+)")

_FAILED_PULLS: Final = 3
"""Docker tries again by itself; after so many failures in a row it does so for ever."""
_KEPT: Final = 20_000
"""Lines that are remembered, to know one that says nothing new."""
_WORDS: Final = 160
"""Characters that are repeated of what it said last."""


class StartLog:
    """Reads the log line by line. Pure: it is told when a line came."""

    def __init__(self) -> None:
        self.pulling = False
        """Whether the host was last seen to fetch the image."""
        self.started = False
        """Whether the container was started."""
        self.advanced_s: float | None = None
        """When a pull or download last went on."""
        self._starts = 0
        self._worker_restarts = 0
        self._failed_pulls = 0
        self._why_not_pulled = ""
        self._why_not_installed = ""
        self._said = ""
        self._steps: set[str] = set()
        self._layers: dict[str, tuple[int, int]] = {}
        """Of each layer of the image: how many bytes of it have arrived, and how many it has."""

    @property
    def restarts(self) -> int:
        """How often the container, or the worker in it, was started again."""
        return max(self._starts - 1, self._worker_restarts, 0)

    @property
    def pulled(self) -> tuple[int, int] | None:
        """How many bytes of the image have arrived, and of how many that are known; or None."""
        if not self._layers:
            return None
        done, total = zip(*self._layers.values(), strict=True)
        return sum(done), sum(total)

    @property
    def trouble(self) -> str | None:
        """Why it will never start, or None."""
        if self._why_not_installed:
            return f"captiv cannot be installed in it: {self._why_not_installed}"
        if self._failed_pulls < _FAILED_PULLS:
            return None
        return f"its image cannot be pulled: {self._why_not_pulled or 'no reason given'}"

    @property
    def last_words(self) -> str:
        """The last line that the container wrote, cut short; empty if there is none."""
        return self._said

    def hear(self, source: str, text: str, now_s: float) -> None:
        """Take in a line. One that says what was said before is no advance."""
        if _STEP.search(text) and text not in self._steps and len(self._steps) < _KEPT:
            self._steps.add(text)
            self.advanced_s = now_s
            self._failed_pulls = 0
            self.pulling = source == "system"
        if source == "system":
            self._hear_host(text)
        else:
            self._hear_container(text)

    def _hear_host(self, text: str) -> None:
        if found := _LAYER.match(text):
            done = float(found["done"]) * _UNITS[found["unit"]]
            self._layers[found["layer"]] = (
                int(done),
                int(float(found["total"]) * _UNITS[found["of"]]),
            )
        elif (found := _LAYER_WHOLE.match(text)) and found["layer"] in self._layers:
            _, total = self._layers[found["layer"]]
            self._layers[found["layer"]] = total, total
        if _STARTED.search(text):
            self._starts += 1
            self.started, self.pulling = True, False
        elif _PULL_BEGINS.search(text):
            self.pulling = True
        elif found := _NOT_PULLED.search(text):
            self._failed_pulls += 1
            self._why_not_pulled = (found[1] or found[2] or "").strip()[:_WORDS]

    def _hear_container(self, text: str) -> None:
        if found := _WORKER_ENDED.search(text):
            self._worker_restarts = int(found[1])
        elif found := _NOT_INSTALLED.match(text):
            self._why_not_installed = found[1].strip()[:_WORDS]
        elif text.strip():
            self._said = text.strip()[:_WORDS]
