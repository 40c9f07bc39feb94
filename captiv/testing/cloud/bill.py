"""The bill: every begun second of a pod from its creation to its end, at the pod's own price."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

_HOUR_S = 3600
_STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}

BUCKETS = ("hour", "day", "week", "month", "year")


@dataclass(slots=True)
class Span:
    """A time in which a pod cost money; a pod that was stopped and started has several."""

    pod: str
    price: Decimal
    """Dollars an hour."""
    start: float
    end: float | None = None

    def seconds(self, now: float) -> int:
        """Return the seconds begun by then."""
        until = now if self.end is None else min(self.end, now)
        return max(0, math.ceil(round(until - self.start, 6)))

    def seconds_within(self, first: float, last: float, now: float) -> float:
        """Return how many of the billed seconds lie in this window."""
        return max(0.0, min(last, self.start + self.seconds(now)) - max(first, self.start))


class Bill:
    """What every pod has cost so far. All times are seconds of the clock that it is given."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._spans: list[Span] = []

    def open(self, pod: str, price: Decimal) -> None:
        """Begin to bill a pod."""
        self._spans.append(Span(pod, price, self._clock()))

    def close(self, pod: str) -> None:
        """Bill it no longer."""
        for span in self._of(pod):
            span.end = span.end or self._clock()

    def seconds(self, pod: str | None = None) -> int:
        """Return the seconds billed so far, of one pod or of all."""
        now = self._clock()
        return sum(span.seconds(now) for span in self._of(pod))

    def dollars(self, pod: str | None = None) -> Decimal:
        """Return what one pod, or all of them, cost so far: exact, not rounded to cents."""
        now = self._clock()
        return sum(
            (span.price * span.seconds(now) / _HOUR_S for span in self._of(pod)), start=Decimal(0)
        )

    def records(
        self, start: float, end: float, bucket: str, pod: str | None, lag_s: float
    ) -> list[dict[str, Any]]:
        """Return the rows of `/v2/billing/pods`: a pod a bucket, known up to `lag_s` ago."""
        now = self._clock() - lag_s
        rows = []
        for first, last in buckets(start, end, bucket):
            for name in dict.fromkeys(span.pod for span in self._of(pod)):
                amount = sum(
                    float(span.price) * span.seconds_within(first, last, now) / _HOUR_S
                    for span in self._of(name)
                )
                if amount:
                    rows.append(_record(first, last, name, amount))
        return rows

    def _of(self, pod: str | None) -> list[Span]:
        return [span for span in self._spans if pod in (None, span.pod)]


def buckets(start: float, end: float, size: str) -> Iterator[tuple[float, float]]:
    """Yield the UTC buckets that touch this window."""
    at = floor(datetime.fromtimestamp(start, UTC), size)
    while at.timestamp() < end:
        following = step(at, size)
        yield at.timestamp(), following.timestamp()
        at = following


def floor(at: datetime, size: str) -> datetime:
    """Return the beginning of the bucket that holds this time."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    if size == "hour":
        return hour
    day = hour.replace(hour=0)
    if size == "week":
        return day - timedelta(days=day.weekday())
    if size == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if size == "year" else day


def step(at: datetime, size: str, count: int = 1) -> datetime:
    """Return the beginning of the bucket `count` later; `at` is the beginning of one."""
    if size in _STEPS:
        return at + count * _STEPS[size]
    months = at.year * 12 + at.month - 1 + count * (12 if size == "year" else 1)
    return at.replace(year=months // 12, month=months % 12 + 1)


def rfc3339(at: float) -> str:
    """Write a time as RunPod does."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def totals(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Sum what records say."""
    names = ("totalAmount", "gpuAmount", "cpuAmount", "diskAmount")
    return {name: round(sum(row[name] for row in rows), 10) for name in names}


def _record(first: float, last: float, pod: str, amount: float) -> dict[str, Any]:
    return {
        "startTime": rfc3339(first),
        "endTime": rfc3339(last),
        "podId": pod,
        "totalAmount": round(amount, 10),
        "gpuAmount": round(amount, 10),
        "cpuAmount": 0.0,
        "diskAmount": 0.0,
    }
