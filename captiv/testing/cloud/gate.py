"""Who may call what: keys, quota, and what was armed to go wrong before a call is looked at.

A pod's own key ends or stops that pod and does nothing else, as far as it is known to do on RunPod.
A call without a real User-Agent is refused by Cloudflare, as RunPod's callers found.
"""

import hmac
import json
import math
from collections import deque
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import Response

from captiv.testing.cloud.answers import NO_BALANCE, NO_CAPACITY, Refusal, cloudflare
from captiv.testing.cloud.conditions import Conditions
from captiv.testing.cloud.history import Call
from captiv.testing.cloud.mischief import Armed, Mischief
from captiv.testing.cloud.pods import Pods

ACCOUNT = "account"
_MINUTE_S = 60
_SHOWN_QUOTA = 300
_BLOCKED_AGENTS = ("python-urllib", "python-requests/0")

_RENTING = frozenset({"create_pod", "start_pod"})
_OF_A_POD = frozenset({"delete_pod", "terminate_pod", "stop_pod"})
_ENDING = frozenset({"delete_pod", "terminate_pod"})


def operation_of(name: str, body: bytes) -> str:
    """Return the operation; an action counts as what it does."""
    if name != "act_on_pod":
        return name
    try:
        return f"{json.loads(body)['action']}_pod"
    except (ValueError, KeyError, TypeError):
        return name


class Gate:
    """Stands before every call."""

    def __init__(
        self, conditions: Conditions, pods: Pods, mischief: Mischief, clock: Callable[[], float]
    ) -> None:
        self._conditions = conditions
        self._pods = pods
        self._mischief = mischief
        self._clock = clock
        self._recent: deque[float] = deque()

    def check(self, call: Call, headers: Headers, pod_id: str | None) -> Response | None:
        """Let a call pass, or return Cloudflare's answer to it.

        Raises:
            Refusal: RunPod's answer to it.
        """
        agent = call.headers.get("user-agent", "").lower()
        if not agent or agent.startswith(_BLOCKED_AGENTS) or self._armed("cloudflare_1010", call):
            return cloudflare(403, "error code: 1010")
        self._know(call, headers)
        self._count(call)
        self._scope(call, pod_id)
        self._misbehave(call, pod_id)
        return None

    def quota(self) -> dict[str, str]:
        """Return the headers that tell how many calls are left."""
        quota = self._conditions.quota_per_minute or _SHOWN_QUOTA
        left = max(0, quota - len(self._recent))
        hour = 20 * quota
        return {
            "RateLimit": f'"minute";r={left};t={self._wait_s()}, "hour";r={hour - 1};t=3599',
            "RateLimit-Policy": f'"minute";q={quota};w=60, "hour";q={hour};w=3600',
        }

    def _know(self, call: Call, headers: Headers) -> None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Refusal(401, "missing bearer token")
        if hmac.compare_digest(key, self._conditions.account_key):
            if self._armed("key_refused", call):
                raise Refusal(401, "invalid bearer token")
            call.caller = ACCOUNT
            return
        pod = self._pods.with_key(key)
        if pod is None or pod.terminated:
            raise Refusal(401, "invalid bearer token")
        call.caller = pod.id

    def _count(self, call: Call) -> None:
        now = self._clock()
        while self._recent and self._recent[0] <= now - _MINUTE_S:
            self._recent.popleft()
        quota = self._conditions.quota_per_minute
        if quota is not None and len(self._recent) >= quota:
            raise _rate_limited(self._wait_s())
        self._recent.append(now)
        if armed := self._armed("rate_limited", call):
            raise _rate_limited(armed.options["retry_after_s"])

    def _wait_s(self) -> int:
        oldest = self._recent[0] if self._recent else self._clock()
        return max(1, math.ceil(oldest + _MINUTE_S - self._clock()))

    def _scope(self, call: Call, pod_id: str | None) -> None:
        if call.caller == ACCOUNT:
            if call.operation in self._conditions.denied:
                raise Refusal(403, "access denied")
            return
        pod = self._pods.find(call.caller)
        refused = pod is None or "injected_key_refused" in pod.traits
        if refused or call.operation not in _OF_A_POD or pod_id != call.caller:
            raise Refusal(403, "access denied")

    def _misbehave(self, call: Call, pod_id: str | None) -> None:
        if armed := self._armed("server_error", call, pod_id):
            raise Refusal(armed.options["status"], "Something went wrong.")
        if self._armed("forbidden", call, pod_id):
            raise Refusal(403, "access denied")
        if self._armed("unprocessable", call, pod_id):
            detail = "Request validation failed."
            raise Refusal(422, detail, errors=["$: additional properties 'bogus' not allowed"])
        if call.operation in _ENDING and (armed := self._armed("terminate_fails", call, pod_id)):
            raise Refusal(armed.options["status"], "Something went wrong.")
        if call.operation in _RENTING:
            if self._armed("no_balance", call, pod_id):
                raise Refusal(402, NO_BALANCE)
            if self._armed("no_capacity", call, pod_id):
                raise Refusal(400, NO_CAPACITY)

    def _armed(self, name: str, call: Call, pod_id: str | None = None) -> Armed | None:
        armed = self._mischief.take(name, pod=pod_id, call=call.operation)
        if armed is not None:
            call.mischief = name
        return armed


def _rate_limited(seconds: int) -> Refusal:
    return Refusal(
        429,
        "rate limit exceeded for the minute window",
        headers={"Retry-After": str(seconds)},
    )
