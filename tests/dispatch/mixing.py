"""A proxy before a real worker that gives answers to the wrong caller, over real HTTP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
import httpx2
from starlette.requests import Request
from starlette.responses import Response

from tests.serving import serving

_HELD_S = 0.5
_DROPPED = {"content-length", "connection", "transfer-encoding", "date", "server"}


@dataclass
class Mixing:
    """Passes everything on; what it mixes are answers 200 about images."""

    to: str
    """The worker's address."""
    swaps: bool = False
    """Of two pairs of answers that are there at once, those of one change places."""
    repeats: Callable[[int], bool] = field(default=lambda _n: False)
    """Whether the n-th answer is the one before it, once more."""
    mixed: int = 0
    """Answers that went to the wrong caller."""
    _answers: int = 0
    _last: Response | None = None
    _first: tuple[anyio.Event, list[Response]] | None = None

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        async with httpx2.AsyncClient(base_url=self.to, timeout=60) as http:
            passed = await http.request(
                request.method, request.url.path, content=body, headers=dict(request.headers)
            )
        headers = {k: v for k, v in passed.headers.items() if k.lower() not in _DROPPED}
        answer = Response(passed.content, passed.status_code, headers)
        if not request.url.path.startswith("/api/caption") or answer.status_code != 200:
            return answer
        return await self._swapped(answer) if self.swaps else self._repeated(answer)

    def _repeated(self, answer: Response) -> Response:
        self._answers += 1
        last, self._last = self._last, answer
        if last is None or not self.repeats(self._answers):
            return answer
        self._last = last
        self.mixed += 1
        return last

    async def _swapped(self, answer: Response) -> Response:
        if self._first is not None:
            (there, given), self._first = self._first, None
            self._answers += 1
            if self._answers % 2:
                given[0], answer = answer, given[0]
                self.mixed += 2
            there.set()
            return answer
        there, given = self._first = anyio.Event(), [answer]
        with anyio.move_on_after(_HELD_S):
            await there.wait()
        if self._first is not None and self._first[0] is there:
            self._first = None
        return given[0]


@contextmanager
def mixing(proxy: Mixing) -> Iterator[str]:
    """Serve the proxy in a thread of its own; yield its URL."""
    with serving(proxy.__call__) as url:
        yield url
