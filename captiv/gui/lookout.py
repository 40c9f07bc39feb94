"""The account's pods, looked at for whoever has the page open, and what is done about them.

While somebody looks at the pods they are asked for every few seconds; else once a minute, for an
orphan that bills concerns every view; with no tab open nothing is asked. What is found is told by
the topic `pods`.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from captiv.clock import monotonic_s, now_ms
from captiv.core.cost import dollars, rate
from captiv.core.phase import Phase
from captiv.errors import CaptivError
from captiv.gui.live import Live
from captiv.gui.phases import worded
from captiv.gui.show import readable
from captiv.rental import create as making
from captiv.rental.account import Account, opened
from captiv.rental.records import Billed
from captiv.rental.sweep import Swept, sweep
from captiv.rental.views import Rates, View, note, queue, views
from captiv.rental.views import as_json as pod_as_json
from captiv.request.run import model_to_load
from captiv.settings import Paths, Settings
from captiv.sources import PROVIDERS
from captiv.store import Store

_log = logging.getLogger(__name__)

_PROVIDER: Final = PROVIDERS["runpod"]
_NEAR_S: Final = 3.0
_FAR_S: Final = 60.0
_IDLE_S: Final = 1.0
_WATCHED_S: Final = 12.0
"""A view that is open says so more often than that."""
_NOTES: Final = 30


@dataclass(slots=True)
class Making:
    """A pod that is being made by hand."""

    model: str | None
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=_NOTES))
    phase: str = ""
    """The last phase that was noted."""
    error: CaptivError | None = None
    over: bool = False


class Lookout:
    """Looks at the pods, and makes them."""

    def __init__(
        self, paths: Paths, settings: Callable[[], Settings], store: Store, live: Live
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._store = store
        self._live = live
        self._watched_s = -_WATCHED_S
        self._asked_s = -_FAR_S
        self._stirred = anyio.Event()
        self._found: list[View] = []
        self._error: CaptivError | None = None
        self._at_ms: int | None = None
        self._rates, self._billed = Rates(), Billed()
        self._making: Making | None = None
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Look until cancelled; a pod that is being made is then left to its guard."""
        async with anyio.create_task_group() as tg:
            self._tasks = tg
            try:
                await self._look_on()
            finally:
                self._tasks = None

    def watch(self) -> None:
        """Say that somebody looks at the pods."""
        self._watched_s = monotonic_s()
        self._stirred.set()

    def look(self) -> None:
        """Look again now: something was done."""
        self._asked_s = -_FAR_S
        self._stirred.set()

    @asynccontextmanager
    async def account(self) -> AsyncIterator[Account]:
        """Have the account open.

        Raises:
            ConfigurationError: there is no key.
        """
        async with opened(_PROVIDER, self._paths, self._settings()) as account:
            yield account

    @property
    def has_key(self) -> bool:
        """Whether there is an account at all."""
        return _PROVIDER.has_key(self._settings())

    def now(self) -> dict[str, Any]:
        """Return what was seen last."""
        return {
            "key": self.has_key,
            "pods": [_told(view) for view in self._found],
            "error": _problem(self._error),
            "at_ms": self._at_ms,
            "making": self._made(),
        }

    def make(
        self, settings: Settings, model: str | None, name: str | None, gpu_type: str | None
    ) -> None:
        """Begin to make a pod by hand; what comes of it is told with the pods."""
        assert self._tasks is not None
        self._making = Making(model)
        self._tasks.start_soon(self._make, self._making, settings, name, gpu_type)

    @property
    def busy(self) -> bool:
        """Whether a pod is being made."""
        return self._making is not None and not self._making.over

    async def sweep(self) -> list[Swept]:
        """End the pods that nobody needs, and put the ledger right."""
        async with self.account() as account:
            swept = await sweep(account, self._store, by_hand=True)
        self.look()
        return swept

    # -- looking ---------------------------------------------------------------------------------

    async def _look_on(self) -> None:
        while True:
            self._stirred = anyio.Event()
            if self._due():
                self._asked_s = monotonic_s()
                await self._look()
            with anyio.move_on_after(_IDLE_S):
                await self._stirred.wait()

    def _due(self) -> bool:
        if not self.has_key or not self._live.tabs:
            return False
        now = monotonic_s()
        near = now - self._watched_s < _WATCHED_S or self.busy
        return now - self._asked_s >= (_NEAR_S if near else _FAR_S)

    async def _look(self) -> None:
        try:
            async with self.account() as account:
                self._found = await views(account, self._store, self._rates, self._billed)
            self._error = None
        except CaptivError as error:
            self._error = error
            _log.warning("pods not seen reason=%s", error.message)
        except Exception:
            _log.exception("looking at the pods broke")
            self._error = CaptivError("captiv itself failed.", hint=f"Log: {self._paths.log_file}")
        self._at_ms = now_ms()
        self._live.tell("pods", self.now())

    # -- making ----------------------------------------------------------------------------------

    async def _make(
        self, about: Making, settings: Settings, name: str | None, gpu_type: str | None
    ) -> None:
        def said(text: str) -> None:
            about.notes.append(readable(text))
            self._live.tell("pods", self.now())

        def phase(now: Phase | None) -> None:
            text = "" if now is None else worded(now)
            if text and text != about.phase:
                said(text)
            about.phase = text

        try:
            async with opened(_PROVIDER, self._paths, settings) as account:
                await making.create(
                    account,
                    self._store,
                    model_to_load(about.model, settings),
                    name=name,
                    gpu_type=gpu_type,
                    wait=True,
                    on_note=said,
                    on_phase=phase,
                )
        except CaptivError as error:
            about.error = error
        except Exception:
            _log.exception("making a pod broke")
            about.error = CaptivError("captiv itself failed.", hint=f"Log: {self._paths.log_file}")
        finally:
            about.over = True
            self.look()

    def _made(self) -> dict[str, Any] | None:
        about = self._making
        if about is None:
            return None
        return {
            "model": about.model,
            "notes": list(about.notes),
            "error": _problem(about.error),
            "over": about.over,
        }


def _told(view: View) -> dict[str, Any]:
    spent = view.spent
    return {
        **pod_as_json(view),
        "price": rate(view.price),
        "spent": None if spent is None else dollars(spent),
        "billed": dollars(view.recorded) if view.recorded else None,
        "queue": queue(view),
        "note": readable(note(view)),
        "sweepable": view.ours and view.known.orphan is not None,
    }


def _problem(error: CaptivError | None) -> dict[str, str | None] | None:
    if error is None:
        return None
    return {"code": error.code, "detail": readable(error.message), "hint": error.hint}
