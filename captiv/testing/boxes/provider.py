"""The boxes as a `Provider`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import httpcore2  # noqa: F401 - else the first client imports it on the event loop
import httpx2

from captiv.core.fleet import Offer, Wish
from captiv.core.pods import PodState
from captiv.errors import PodMayExist, ProviderRejected, ProviderUnreachable
from captiv.rental.podspec import guarded
from captiv.rental.provider import (
    Balance,
    EndingCall,
    LogLine,
    LogSource,
    Pod,
    PodSpec,
    Policy,
    ProviderTraits,
    ProviderType,
    Right,
)

NAME: Final = "boxes"
_MINUTES: Final = 60


class BoxProvider:
    """An account that rents boxes."""

    name = NAME
    label = "Boxes"
    console = "https://boxes.example/"
    traits = ProviderTraits(names=False, stops=False, logs=False)

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._http = httpx2.AsyncClient(
            base_url=url, headers={"X-Box-Key": key}, timeout=10, trust_env=False, verify=False
        )
        self._prices: dict[str, Decimal] = {}

    def url(self, pod_id: str) -> str:
        """Return the address of a box, whose port is in its id."""
        return f"http://127.0.0.1:{pod_id.split('-')[1]}"

    def ending(self) -> Sequence[EndingCall]:
        """Return the one call that ends a box."""
        url = f"{self._url}/boxes/${{BOX_ID}}"
        return (EndingCall("DELETE", url, {"X-Box-Key": "${BOX_KEY}"}),)

    async def verify(self, extras: tuple[str, ...], image: str | None) -> None:
        """Every box has captiv."""

    async def offers(self) -> list[Offer]:
        """Return the kinds of boxes, at sixty times the price of a minute."""
        found = await self._asked("GET", "/offers")
        self._prices = {kind["kind"]: Decimal(kind["per_minute"]) * _MINUTES for kind in found}
        return [
            Offer(kind["kind"], "", kind["gb"], self._prices[kind["kind"]], "high", maker="Tiny")
            for kind in found
        ]

    async def list(self) -> list[Pod]:
        """Return the boxes that are there, without names."""
        return [self._pod(box) for box in await self._asked("GET", "/boxes")]

    async def get(self, pod_id: str) -> Pod | None:
        """Return a box, or None."""
        found = await self._asked("GET", f"/boxes/{pod_id}")
        return None if found is None else self._pod(found)

    async def create(self, spec: PodSpec) -> Pod:
        """Make a box; raises `PodMayExist` if no answer comes."""
        asked = {
            "name": spec.name,
            "kind": spec.offer.gpu_id,
            "arguments": list(spec.arguments),
            "env": dict(spec.env),
        }
        try:
            return self._pod(await self._asked("POST", "/boxes", asked))
        except ProviderUnreachable as error:
            raise PodMayExist("The boxes gave no answer.", name=spec.name) from error

    async def start(self, pod_id: str) -> Pod:
        """Refuse: there is no such call."""
        raise ProviderRejected("A box cannot be started.", hint="Make another.")

    async def stop(self, pod_id: str) -> Pod:
        """Refuse: there is no such call."""
        raise ProviderRejected("A box cannot be stopped.", hint="Terminate it.")

    async def terminate(self, pod_id: str) -> None:
        """End a box."""
        await self._asked("DELETE", f"/boxes/{pod_id}")

    async def logs(
        self, pod_id: str, source: LogSource | None, *, tail: int, follow: bool = False
    ) -> AsyncGenerator[LogLine]:
        """Refuse: nothing keeps a box's log."""
        raise ProviderRejected("Boxes keep no logs.")
        yield LogLine("", "container")  # makes this a generator

    @property
    def clock_ahead_ms(self) -> int:
        """Both run on one machine."""
        return 0

    async def balance(self) -> Balance | None:
        """Return None: boxes are paid by invoice."""
        return None

    async def billed(self, since_ms: Mapping[str, int]) -> dict[str, Decimal]:
        """Return the price of the minutes that were begun."""
        if not self._prices:
            await self.offers()
        billed = {}
        for pod_id in since_ms:
            bill = await self._asked("GET", f"/bills/{pod_id}")
            if bill is not None:
                billed[pod_id] = self._prices[bill["kind"]] / _MINUTES * bill["minutes"]
        return billed

    async def rights(self) -> Sequence[Right]:
        """Return that a key may do everything."""
        return [Right("make boxes")]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def _pod(self, box: dict[str, Any]) -> Pod:
        return Pod(
            id=box["id"],
            state=PodState.RUNNING,
            said="up",
            price_usd_h=self._prices.get(box["kind"], Decimal(0)),
            created_ms=box["since"] * 1000,
            started=True,
            gpu=box["kind"],
        )

    async def _asked(self, method: str, path: str, body: object = None) -> Any:
        """Return an answer; None where there is no such thing."""
        try:
            response = await self._http.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise ProviderUnreachable(f"The boxes do not answer: {error}.") from error
        if response.status_code == 404:
            return None
        if not response.is_success:
            raise ProviderRejected(f"The boxes refuse: {response.text}.")
        return response.json() if response.content else None


def box_type(
    url: str, key: str, *, idle_s: float = 60, startup_timeout_s: float = 60
) -> ProviderType:
    """Return the boxes at this address as a provider that captiv can rent from."""
    return ProviderType(
        name=NAME,
        label="Boxes",
        key_setting="boxes.key",
        has_key=lambda _settings: True,
        open=lambda _settings: BoxProvider(url, key),
        policy=lambda _settings: Policy(
            wish=Wish(None, "any", Decimal("1.5"), "boxes.max_price"),
            startup_timeout_s=startup_timeout_s,
            guarded=guarded(idle_s, startup_timeout_s),
            lost_after_s=3,
            request_timeout_s=60,
        ),
    )
