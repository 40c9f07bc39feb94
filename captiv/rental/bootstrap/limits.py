"""Until when there has to be a guard.

The start-up limit counts from the pod's creation, by the provider's clock. A container that is
started again after it, in the midst of a run, waits no longer than a guard whom nobody speaks to;
once captiv has come, its guard has the whole limit for the model.
"""

from __future__ import annotations

import time

from .ending import providers_time
from .pod import seconds

SAME_CLOCK_S = 15.0


def limits() -> tuple[float, float]:
    """Return until when there has to be a guard, and until when the model, in monotonic seconds."""
    startup_s = seconds("CAPTIV_GUARD_STARTUP_S", 900.0)
    now_s, left_s = _now_s(), startup_s
    born_s = seconds("CAPTIV_CARRY_BORN", 0.0)
    if born_s:
        left_s = min(startup_s, born_s + startup_s - now_s)
    again = left_s <= 0
    waits_s = seconds("CAPTIV_GUARD_IDLE_S", 900.0) if again else left_s
    began_s, ends_s = time.monotonic(), seconds("CAPTIV_GUARD_DEADLINE", float("inf")) - now_s
    return began_s + min(waits_s, ends_s), began_s + (startup_s if again else left_s)


def _now_s() -> float:
    """Return what time it is for the provider; this host's clock may be wrong."""
    told_s, here_s = providers_time(), time.time()
    return here_s if told_s is None or abs(told_s - here_s) <= SAME_CLOCK_S else told_s
