"""The simulator's own routes, `/_sim/…`, for whoever has no Python handle on it; loopback only."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.testing.cloud.parts import Parts

Handler = Callable[[Request], Awaitable[Any]]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def routes(parts: Parts) -> list[BaseRoute]:
    """Return the control routes."""
    control = _Control(parts)
    return [
        Route("/state", _checked(control.state), methods=["GET"]),
        Route("/calls", _checked(control.calls), methods=["GET"]),
        Route("/mischief", _checked(control.armed), methods=["GET"]),
        Route("/mischief", _checked(control.arm), methods=["POST"]),
        Route("/mischief", _checked(control.disarm), methods=["DELETE"]),
        Route("/storm", _checked(control.storm), methods=["POST"]),
        Route("/link", _checked(control.link), methods=["POST"]),
        Route("/stock", _checked(control.stock), methods=["POST"]),
    ]


def _checked(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if request.client is None or request.client.host not in _LOOPBACK:
            return JSONResponse({"error": "loopback only"}, 403)
        try:
            return JSONResponse(await handler(request))
        except (ValueError, TypeError, KeyError) as error:
            return JSONResponse({"error": str(error)}, 422)

    return answer


class _Control:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def state(self, _request: Request) -> Any:
        """Every pod ever created, what it cost, and what the proxy carried."""
        parts = self._parts
        pods = [
            {
                "id": pod.id,
                "name": pod.name,
                "status": pod.status,
                "gpu": pod.asked.gpu.id if pod.asked.gpu else None,
                "price": str(pod.price),
                "seconds": parts.bill.seconds(pod.id),
                "dollars": str(parts.bill.dollars(pod.id)),
                "lives": pod.lives,
                "pid": pod.container.pid if pod.container else None,
                "ports": pod.ports,
                "log": pod.log.texts()[-50:],
            }
            for pod in parts.pods.all()
        ]
        return {
            "pods": pods,
            "alive": [pod["id"] for pod in pods if pod["status"] != "TERMINATED"],
            "dollars": str(parts.bill.dollars()),
            "carried": {"up": parts.link.up.bytes, "down": parts.link.down.bytes},
        }

    async def calls(self, _request: Request) -> Any:
        """Every call of the API, in order."""
        return [
            {
                "at": call.at,
                "method": call.method,
                "path": call.path,
                "caller": call.caller,
                "operation": call.operation,
                "mischief": call.mischief,
                "status": call.status,
            }
            for call in self._parts.history
        ]

    async def armed(self, _request: Request) -> Any:
        """What waits for its turn."""
        return [armed.describe() for armed in self._parts.mischief.armed()]

    async def arm(self, request: Request) -> Any:
        """Arm one: `{"name": …, "times": …, "pod": …, …options}`."""
        asked = dict(await request.json())
        return self._parts.mischief.arm(asked.pop("name"), **asked).describe()

    async def disarm(self, request: Request) -> Any:
        """Disarm all, or those of `?name=`."""
        self._parts.mischief.disarm(request.query_params.get("name"))
        return []

    async def storm(self, request: Request) -> Any:
        """Arm a random combination: `{"seed": 7, "count": 3}`."""
        asked = await request.json()
        armed = self._parts.mischief.storm(int(asked["seed"]), int(asked.get("count", 3)))
        return [each.describe() for each in armed]

    async def link(self, request: Request) -> Any:
        """Change the line: `{"rtt_s": 0.15, "up_mbit": 20, "down_mbit": null}`."""
        asked, link = json.loads(await request.body()), self._parts.link
        link.rtt_s = float(asked.get("rtt_s", link.rtt_s))
        link.up.mbit = asked.get("up_mbit", link.up.mbit)
        link.down.mbit = asked.get("down_mbit", link.down.mbit)
        return {"rtt_s": link.rtt_s, "up_mbit": link.up.mbit, "down_mbit": link.down.mbit}

    async def stock(self, request: Request) -> Any:
        """Change a stock: `{"gpu": id, "level": "NONE", "cloud": null}`."""
        asked = await request.json()
        self._parts.catalog.set_stock(asked["gpu"], asked["level"], asked.get("cloud"))
        return asked
