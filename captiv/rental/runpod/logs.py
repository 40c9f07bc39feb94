"""A pod's log as it comes: server-sent events, gone on with where they broke off.

Each event carries an id; `Last-Event-ID` on the next call makes RunPod go on after it. The stream
has no end of its own, even when nothing more will come: one that is not followed ends when it is
quiet, one that is followed ends when the pod is gone.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import cast
from urllib.parse import quote

import anyio
import httpx2
from pydantic import TypeAdapter, ValidationError

from captiv.errors import ProviderMismatch, ProviderUnreachable
from captiv.rental.runpod import refusals
from captiv.rental.runpod.exchange import Exchange
from captiv.rental.runpod.values import LogLine, LogSource, Moment

MAX_TAIL = 5000
"""Most lines of the past that RunPod gives."""

_moment: TypeAdapter[datetime] = TypeAdapter(Moment)


class PodLog:
    """One reading of a pod's log, over as many connections as it takes."""

    def __init__(
        self, exchange: Exchange, pod_id: str, *, source: LogSource | None, tail: int, follow: bool
    ) -> None:
        self._exchange = exchange
        self._limits = exchange.limits
        self._pod_id = pod_id
        self._source = source
        self._tail = max(0, min(tail, MAX_TAIL))
        self._follow = follow
        self._last_id: str | None = None
        self._at_last: set[str] = set()
        self._seen = 0
        self._opened = False
        self._failures = 0
        self._pause_s = 0.0

    async def lines(self) -> AsyncGenerator[LogLine]:
        """Yield the last `tail` lines, then with `follow` each new one until the pod is gone.

        Raises:
            PodGone: there is no such pod.
            ProviderError: the log cannot be had; a lost connection counts only when it is lost as
                often as there are tries, with no line between.
        """
        while self._follow or self._seen < self._tail:
            self._pause_s = self._exchange.backoff_s(1)
            try:
                async with aclosing(self._connection()) as connection:
                    async for line in connection:
                        self._failures = 0
                        self._seen += 1
                        yield line
                        if not self._follow and self._seen >= self._tail:
                            return
                if not self._pause_s:
                    return
            except ProviderUnreachable:
                self._failures += 1
                if self._failures >= self._limits.tries:
                    raise
                self._pause_s = self._exchange.backoff_s(self._failures)
            await self._exchange.sleep(self._pause_s)

    async def _connection(self) -> AsyncGenerator[LogLine]:
        """Yield what one connection brings; leave no pause if no other is to follow."""
        path = f"/v2/pods/{quote(self._pod_id, safe='')}/logs"
        params = {"tail": str(self._tail)}
        if self._source is not None:
            params["source"] = self._source
        headers = {"Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        async with self._exchange.stream(path, params=params, headers=headers) as response:
            if self._opened and response.status_code == 404:
                self._pause_s = 0
            elif self._accepted(response):
                self._opened = True
                async with aclosing(self._events(response)) as lines:
                    async for line in lines:
                        if self._is_new(line):
                            yield line
                if not self._follow:
                    self._pause_s = 0

    def _is_new(self, line: LogLine) -> bool:
        """Note the line as the last; False if it was: a stream may go on *with* its last event."""
        if line.event_id is None:
            return True
        if line.event_id != self._last_id:
            self._last_id, self._at_last = line.event_id, set()
        elif line.text in self._at_last:
            return False
        self._at_last.add(line.text)
        return True

    def _accepted(self, response: httpx2.Response) -> bool:
        """Whether this is the log; if not, and it is worth it, set the pause before the next try.

        Raises:
            ProviderError: another try would end the same.
        """
        attempt = self._failures + 1
        pause_s = self._exchange.pause_s(
            response, attempt, repeatable=True, tries=self._limits.tries
        )
        if pause_s is not None:
            self._failures, self._pause_s = attempt, pause_s
            return False
        if response.status_code != 200:
            raise refusals.meaning(self._exchange.refusal(response), pod=self._pod_id)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise ProviderMismatch(f"RunPod's log of pod {self._pod_id} is no stream of events.")
        return True

    async def _events(self, response: httpx2.Response) -> AsyncGenerator[LogLine]:
        """Yield the lines of an open stream until it ends or is quiet for too long."""
        quiet_s = self._limits.silence_s if self._follow else self._limits.first_line_s
        stream = cast(AsyncGenerator[httpx2.ServerSentEvent], aiter(httpx2.EventSource(response)))
        async with aclosing(stream) as events:
            while True:
                event = None
                with anyio.move_on_after(quiet_s):
                    event = await anext(events, None)
                if event is None:
                    return
                if not event.data:
                    continue
                if not self._follow:
                    quiet_s = self._limits.next_line_s
                yield _line(self._exchange.scrub(event.data), self._source, event.id or None)


def _line(data: str, asked: LogSource | None, event_id: str | None) -> LogLine:
    """Read one event; what is not of the documented shape is a line as it stands."""
    source = asked or "container"
    try:
        value = json.loads(data)
        text, said = str(value["line"]), str(value.get("source", source))
    except (ValueError, KeyError, TypeError, AttributeError):
        return LogLine(data, source, None, event_id)
    try:
        at = _moment.validate_python(value.get("ts"))
    except ValidationError:
        at = None
    return LogLine(text, said, at, event_id)
