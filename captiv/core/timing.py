"""How long each part of a pod's start took, told step by step as it starts."""

from dataclasses import dataclass, replace
from typing import Final, Literal

from captiv.core.estimate import Startup
from captiv.core.phase import Step

_Part = Literal["host", "download", "load"]

_PARTS: Final[dict[Step, _Part]] = {
    Step.RESOLVING: "download",
    Step.DOWNLOADING: "download",
    Step.LOADING: "load",
    Step.WARMING: "load",
}
"""All that comes before is the host's."""


_NOTHING: Final = Startup(0, 0, 0, measured=True)


@dataclass(frozen=True, slots=True)
class Timing:
    """A start so far; each step returns the next value. Times in s, of one clock."""

    since_s: float
    part: _Part = "host"
    startup: Startup = _NOTHING

    def enter(self, step: Step, now_s: float) -> "Timing":
        """Take note that this step begins, and so the one before it ends."""
        spent_s = max(0.0, now_s - self.since_s)
        startup = self.startup
        match self.part:
            case "host":
                startup = replace(startup, host_s=startup.host_s + spent_s)
            case "download":
                startup = replace(startup, download_s=startup.download_s + spent_s)
            case "load":
                startup = replace(startup, load_s=startup.load_s + spent_s)
        return Timing(now_s, _PARTS.get(step, "host"), startup)
