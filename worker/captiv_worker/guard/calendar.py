"""What time it is for the provider, which bills, and by whose time the deadline is set.

A pod has its host's clock, and may start before that is set. So the provider is asked once, and
from then on what has passed since is added, whatever happens to the host's clock.
"""

import logging
import math
import threading
import time
from collections.abc import Callable

from captiv.clock import monotonic_s, now_s, steady_s
from captiv_worker.guard.api import time_at

_log = logging.getLogger(__name__)

_SAME_CLOCK_S = 15.0
_AGAIN_S = 60.0
_PATIENCE_S = 60.0
"""So long at most a deadline waits for the provider's answer: a call may hang beyond its limits."""


class Calendar:
    """The time by which the deadline is reckoned; asks for it on a thread of its own."""

    def __init__(
        self,
        url: str | None,
        *,
        ask: Callable[[str], float | None] = time_at,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Args: `url` is of the provider; without one, this host's clock has to do."""
        self._url = url
        self._ask = ask
        self._offset_s: float | None = None
        """What is added to the steady clock, once the provider was asked."""
        self._asked = url is None
        self._until_s = monotonic_s() + patience_s
        threading.Thread(target=self._look, name="calendar", daemon=True).start()

    def epoch_s(self) -> float:
        """Return seconds since 1970: of this host, where the provider does not answer.

        Until it was asked, no time is too late: a deadline is not reached by a clock that is wrong.
        """
        if self._offset_s is not None:
            return steady_s() + self._offset_s
        return now_s() if self._asked or monotonic_s() > self._until_s else -math.inf

    def _look(self) -> None:
        while self._url is not None:
            began_s = steady_s()
            told_s = self._ask(self._url)
            here_s, steady = now_s(), steady_s()
            if told_s is not None:
                ahead_s = told_s - here_s
                same = abs(ahead_s) <= _SAME_CLOCK_S + steady - began_s
                self._offset_s = (here_s if same else told_s) - steady
                self._asked = True
                if not same:
                    _log.warning("clock_wrong ahead_s=%.0f", -ahead_s)
                return
            self._asked = True
            time.sleep(_AGAIN_S)
