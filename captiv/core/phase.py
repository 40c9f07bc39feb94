"""How far a worker is before it captions, as a value; `cli` and `gui` put it into words."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from captiv.wire import Loading


class Step(StrEnum):
    """What is being waited for; the values stand as they are in JSON and in reasons."""

    FOLLOWING = "following"
    """Another captiv is at work, and does the run."""
    CHECKING = "checking"
    """Whether the run can begin."""
    CONNECTING = "connecting"
    """To `Phase.subject`, a URL."""
    STARTING_HERE = "starting a worker"
    LOOKING = "looking for a pod"
    RENTING = "renting"
    PULLING = "pulling the image"
    STARTING = "starting the container"
    INSTALLING = "installing"
    WAITING = "waiting for other captions"
    """Of the pod `Phase.subject`."""
    RESOLVING = "resolving the model"
    DOWNLOADING = "downloading the model"
    LOADING = "loading the model"
    WARMING = "warming up"
    BUSY = "waiting for the server"
    """It is loading, or busy with others."""
    READY = "ready"


_WORKER_WORDS = {
    "waiting": Step.INSTALLING,
    "installing": Step.INSTALLING,
    "resolving": Step.RESOLVING,
    "downloading": Step.DOWNLOADING,
    "warming": Step.WARMING,
    "busy": Step.BUSY,
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One step, and how far it is where that is known."""

    name: Step
    done_bytes: int = 0
    total_bytes: int | None = None
    subject: str = ""
    """A URL or a pod's id."""

    @property
    def percent(self) -> int | None:
        """How much of the bytes is done; None where they are not known."""
        return min(100, 100 * self.done_bytes // self.total_bytes) if self.total_bytes else None


OnPhase = Callable[[Phase | None], None]
"""Is told each phase, and None when captions come."""


def loading_phase(loading: Loading | None) -> Phase:
    """Return the phase of a worker that says this; a word that captiv does not know is loading."""
    if loading is None:
        return Phase(Step.LOADING)
    step = _WORKER_WORDS.get(loading.phase, Step.LOADING)
    return Phase(step, loading.done_bytes or 0, loading.total_bytes or None)
