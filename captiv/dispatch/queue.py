"""What a dispatcher and its lanes stand on: made and ended together by the service."""

from collections.abc import Callable
from dataclasses import dataclass, field

from captiv.core.jobs import RunId
from captiv.core.spec import RunSpec
from captiv.dispatch.completer import Completer
from captiv.dispatch.events import Reporter
from captiv.dispatch.preparation import Preparation
from captiv.dispatch.strangers import Strangers
from captiv.store import Store


@dataclass(frozen=True, slots=True)
class QueueContext:
    """The queue at work in this process."""

    store: Store
    """The job table."""
    preparation: Preparation
    """Threads that prepare the images of all lanes."""
    completer: Completer
    """Takes the outcomes."""
    reporter: Reporter
    specs: dict[RunId, RunSpec]
    """The spec of every run that was ever served here."""
    now_ms: Callable[[], int]
    strangers: Strangers = field(default_factory=Strangers)
