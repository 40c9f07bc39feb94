"""What may go wrong in the cloud, each by name, armed beforehand by a test.

Five kinds, by when they strike:

- answers: an API call is answered wrongly;
- traits: the next pod created, or the pod named, is a bad one;
- strikes: a pod is hit when the n-th caption request reaches it (`after`), or at once (`after` 0);
- proxy: a request to a pod is answered by the proxy, or late;
- network: nothing reaches API or proxy, as long as it is armed (`for_s`).

Armed with `times` (None: until disarmed), and as wished for one `pod`, one `call` (the operation's
name, such as `create_pod`), for `for_s` seconds, or with a `chance` drawn from the seed. A mischief
whose turn has come is used up by the call, pod or caption that it met.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["answer", "trait", "strike", "proxy", "network"]


@dataclass(frozen=True, slots=True)
class _Known:
    kind: Kind
    what: str
    options: Mapping[str, Any] = field(default_factory=dict)


KNOWN: Mapping[str, _Known] = {
    "no_capacity": _Known("answer", "create and start are answered 400: no such GPU is free"),
    "no_balance": _Known("answer", "create and start are answered 402"),
    "key_refused": _Known("answer", "401: the account's key is revoked"),
    "forbidden": _Known("answer", "403 in RunPod's own words"),
    "cloudflare_1010": _Known("answer", "403 in Cloudflare's HTML, before RunPod sees the call"),
    "unprocessable": _Known("answer", "422 that names a field"),
    "rate_limited": _Known("answer", "429 with Retry-After", {"retry_after_s": 1}),
    "server_error": _Known("answer", "5xx, and nothing was done", {"status": 500}),
    "created_then_timed_out": _Known(
        "answer", "the pod exists; the answer is a status, or never comes", {"status": None}
    ),
    "terminated_then_timed_out": _Known(
        "answer", "the pod is gone; the answer is a status, or never comes", {"status": None}
    ),
    "terminate_fails": _Known("answer", "ending a pod fails", {"status": 500}),
    "paging": _Known("answer", "a list comes in pages", {"size": 1}),
    "vanished_from_list": _Known("answer", "the pod, or every pod, is missing in the list"),
    "running_with_null_runtime": _Known("trait", "RUNNING for ever, and nothing ever starts"),
    "image_missing": _Known("trait", "the image is in no registry"),
    "host_disk_full": _Known("trait", "the host has no room for the image"),
    "disk_full": _Known("trait", "the container's disk has no room for a model"),
    "image_private": _Known("trait", "the registry does not give the image to this account"),
    "image_of_another_kind": _Known("trait", "the image is not made for this host's processor"),
    "crash_loop": _Known("trait", "the container exits at once, again and again"),
    "slow_start": _Known(
        "trait",
        "the pull takes long; how long may be changed meanwhile",
        {"seconds": 30.0, "silent": False},
    ),
    "late_in_list": _Known("trait", "not listed until so old", {"seconds": 2.0}),
    "cost_unsaid": _Known("trait", "the answer to create has no price: `cost` is 0"),
    "dearer": _Known("trait", "it costs more than was offered", {"factor": 2.0}),
    "price_moves": _Known(
        "trait",
        "it costs more than the offer and the answer to create said: only later calls tell",
        {"factor": 1.5},
    ),
    "injected_key_refused": _Known("trait", "the key in the pod may do nothing"),
    "killed_mid_batch": _Known(
        "strike", "kill -9 of the worker or of the whole container", {"after": 1, "what": "worker"}
    ),
    "credit_gone": _Known(
        "strike",
        "the account has no credit left, until somebody adds some after so many seconds",
        {"after": 1, "seconds": None},
    ),
    "key_revoked": _Known(
        "strike", "the account's key is refused for so many seconds", {"after": 1, "seconds": None}
    ),
    "preempted": _Known("strike", "the host takes the pod away: EXITED", {"after": 1}),
    "proxy_down": _Known(
        "proxy", "answered by this status, or cut off in the middle (0)", {"status": 502}
    ),
    "blackout": _Known("network", "this user's network is down: every request is cut"),
    "edge_lags": _Known(
        "proxy", "404 for so long after the pod has said that it is ready", {"seconds": 10.0}
    ),
    "proxy_slow": _Known("proxy", "the request waits first", {"delay_s": 2.0}),
}

_FOREVER = {"times": None}
RECIPES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("no_capacity", {"times": 2}),
    ("no_balance", {}),
    ("forbidden", {"call": "create_pod"}),
    ("cloudflare_1010", {}),
    ("key_refused", {"times": 2}),
    ("unprocessable", {"call": "create_pod"}),
    ("rate_limited", {"times": 2}),
    ("server_error", {"times": 2}),
    ("server_error", {"status": 503, "call": "create_pod"}),
    ("created_then_timed_out", {"status": 504}),
    ("created_then_timed_out", {"status": 503}),
    ("terminated_then_timed_out", {"status": 504}),
    ("terminate_fails", {"times": 2}),
    ("paging", {**_FOREVER, "size": 10}),
    ("vanished_from_list", {"times": 3}),
    ("late_in_list", {"seconds": 1.0}),
    ("running_with_null_runtime", {}),
    ("image_missing", {}),
    ("image_private", {}),
    ("image_of_another_kind", {}),
    ("host_disk_full", {}),
    ("disk_full", {}),
    ("crash_loop", {}),
    ("edge_lags", {"seconds": 5.0}),
    ("slow_start", {"seconds": 1.5}),
    ("cost_unsaid", {}),
    ("dearer", {"factor": 1.5}),
    ("price_moves", {"factor": 1.5}),
    ("injected_key_refused", {}),
    ("killed_mid_batch", {"after": 3}),
    ("killed_mid_batch", {"after": 5, "what": "pod"}),
    ("preempted", {"after": 8}),
    ("credit_gone", {"after": 6, "seconds": 8.0}),
    ("key_revoked", {"after": 6, "seconds": 8.0}),
    ("proxy_down", {"times": 6}),
    ("proxy_down", {"times": 3, "status": 0}),
    ("proxy_slow", {"times": 10, "delay_s": 0.3}),
    ("blackout", {**_FOREVER, "for_s": 25.0}),
)
"""What a storm draws from, all that is known: the same command, given again, survives it."""


@dataclass(slots=True)
class Armed:
    """One mischief that waits for its turn."""

    name: str
    times: int | None = 1
    pod: str | None = None
    call: str | None = None
    until: float | None = None
    chance: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    used: int = 0

    @property
    def spent(self) -> bool:
        """Whether it strikes no more."""
        late = self.until is not None and time.monotonic() >= self.until
        return late or (self.times is not None and self.used >= self.times)

    def meets(self, name: str, pod: str | None, call: str | None) -> bool:
        """Whether this is the call or pod that it waits for."""
        return (
            self.name == name
            and not self.spent
            and self.pod in (None, pod)
            and self.call in (None, call)
        )

    def describe(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        own = {"name": self.name, "times": self.times, "used": self.used}
        return own | {"pod": self.pod, "call": self.call, "chance": self.chance} | self.options


class Mischief:
    """What is armed. Arming is safe from any thread; only the cloud's own uses it up."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._armed: list[Armed] = []
        self.on_armed: Callable[[Armed], None] = lambda _armed: None

    def arm(
        self,
        name: str,
        *,
        times: int | None = 1,
        pod: str | None = None,
        call: str | None = None,
        for_s: float | None = None,
        chance: float = 1.0,
        **options: Any,
    ) -> Armed:
        """Arm a mischief.

        Raises:
            ValueError: there is none of this name, or it has no such option.
        """
        known = KNOWN.get(name)
        if known is None:
            raise ValueError(f"there is no mischief {name!r}; known: {', '.join(KNOWN)}")
        if foreign := set(options) - set(known.options):
            raise ValueError(f"{name} has no option {', '.join(sorted(foreign))}")
        if options.get("after") == 0 and pod is None:
            raise ValueError(f"{name} at once (after=0) needs the pod's id")
        until = None if for_s is None else time.monotonic() + for_s
        armed = Armed(name, times, pod, call, until, chance, {**known.options, **options})
        self._armed.append(armed)
        self.on_armed(armed)
        return armed

    def storm(self, seed: int, count: int = 3) -> list[Armed]:
        """Arm a random combination, the same for the same seed; return what it is."""
        drawn = random.Random(seed).sample(RECIPES, count)
        return [self.arm(name, **options) for name, options in drawn]

    def disarm(self, name: str | None = None) -> None:
        """Let nothing of this name, or nothing at all, happen any more."""
        self._armed = [armed for armed in self._armed if name not in (None, armed.name)]

    def armed(self) -> list[Armed]:
        """Return what waits for its turn."""
        return [armed for armed in self._armed if not armed.spent]

    def take(self, name: str, *, pod: str | None = None, call: str | None = None) -> Armed | None:
        """Return the mischief whose turn this is, used up by one; None if there is none."""
        for armed in list(self._armed):
            if armed.meets(name, pod, call) and self._random.random() < armed.chance:
                armed.used += 1
                return armed
        return None

    def take_all(self, name: str) -> list[Armed]:
        """Return every mischief of this name, whatever pod it waits for, each used up by one."""
        due = [armed for armed in self.armed() if armed.name == name]
        for armed in due:
            armed.used += 1
        return due

    def take_traits(self) -> dict[str, Armed]:
        """Return what is wrong with a pod that is just being created."""
        names = [name for name, known in KNOWN.items() if known.kind == "trait"]
        taken = {name: self.take(name) for name in names}
        return {name: armed for name, armed in taken.items() if armed is not None}

    def take_strikes(self, pod: str) -> list[Armed]:
        """Count a caption request that has reached the pod; return what hits the pod for it."""
        due = []
        for armed in list(self._armed):
            if KNOWN[armed.name].kind != "strike" or not armed.meets(armed.name, pod, None):
                continue
            armed.options["after"] -= 1
            if armed.options["after"] <= 0:
                armed.used += 1
                armed.options["after"] = 1
                due.append(armed)
        return due
