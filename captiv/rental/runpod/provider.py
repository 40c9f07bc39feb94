"""RunPod as a `Provider`: its API's values become those that `rental` knows."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Final

import anyio

from captiv.clock import monotonic_s
from captiv.core.cost import money
from captiv.core.fleet import Offer, Stock, Wish
from captiv.core.pods import PodState
from captiv.errors import AccessDenied, ConfigurationError, ProviderError
from captiv.rental.podspec import PORT, guarded
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
from captiv.rental.runpod import values
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.contents import Contents, Found
from captiv.rental.runpod.ending import ending
from captiv.rental.runpod.volume import stock_at, volume_of
from captiv.settings import Settings
from captiv.settings.schema import RunpodSettings

NAME: Final = "runpod"
LABEL: Final = "RunPod"

_DEFAULT_TYPE: Final = RunpodSettings().default_gpu_type
_FRESH_S: Final = 20.0
"""So long the catalog holds that was read last."""
_NO_POD: Final = "captiv-no-such-pod"
_STATES: Final = {
    values.PodStatus.PROVISIONING: PodState.PROVISIONING,
    values.PodStatus.STARTING: PodState.STARTING,
    values.PodStatus.RUNNING: PodState.RUNNING,
    values.PodStatus.EXITED: PodState.STOPPED,
    values.PodStatus.ERROR: PodState.FAILED,
    values.PodStatus.TERMINATED: PodState.ENDED,
    values.PodStatus.UNKNOWN: PodState.UNKNOWN,
}


class RunpodProvider:
    """One RunPod account."""

    name = NAME
    label = LABEL
    console = "https://console.runpod.io/pods"
    traits = ProviderTraits()

    def __init__(self, api: RunpodApi, settings: RunpodSettings) -> None:
        """Args: `api` is closed by `aclose`."""
        self._api = api
        self._contents = Contents.of(settings)
        self._api_url = settings.api_url
        self._proxy_url = settings.proxy_url
        self._found: Found | None = None
        self._catalog: tuple[float, list[values.GpuType]] | None = None
        """With when it was read, in monotonic seconds."""
        self._reading = anyio.Lock()

    @property
    def clock_ahead_ms(self) -> int:
        """By how much RunPod's clock is ahead of this machine's, by its last answer's `Date`."""
        return self._api.clock_ahead_ms

    def url(self, pod_id: str) -> str:
        """Return the address of a pod's worker behind RunPod's proxy."""
        return self._proxy_url.format(pod=pod_id, port=PORT)

    def ending(self) -> Sequence[EndingCall]:
        """Return both calls by which a pod ends itself with the key that RunPod puts into it."""
        return ending(self._api_url)

    async def verify(self, extras: tuple[str, ...], image: str | None) -> None:
        """Look whether the package, the template, the volume and the registry are there."""
        self._found = await self._contents.found(self._api, extras, image)

    async def offers(self) -> list[Offer]:
        """Return each GPU type in each cloud that offers it."""
        volume = await self._volume()
        return [
            self._fit(offer_of(gpu, offer), offer, volume)
            for gpu in await self._gpus()
            for offer in gpu.offers
        ]

    def _fit(
        self, offer: Offer, theirs: values.GpuOffer, volume: values.NetworkVolume | None
    ) -> Offer:
        """Return an offer with why a pod of it could not run or be placed, if it could not."""
        if against := self._contents.against(offer.gpu_id):
            return replace(offer, unfit=against)
        if volume is None:
            return offer
        stock, unfit = stock_at(volume, theirs)
        return replace(offer, stock=stock_of(stock), unfit=unfit)

    async def _volume(self) -> values.NetworkVolume | None:
        if self._found is not None:
            return self._found.volume
        volume_id = self._contents.volume_id
        return None if volume_id is None else await volume_of(self._api, volume_id)

    async def _gpus(self) -> list[values.GpuType]:
        """Return the catalog as it was a moment ago: it is many calls, and they are counted."""
        async with self._reading:
            if self._catalog is None or monotonic_s() - self._catalog[0] > _FRESH_S:
                self._catalog = monotonic_s(), await self._api.gpus()
            return self._catalog[1]

    async def list(self) -> list[Pod]:
        """Return every pod of the account; a new one may be missing for a moment."""
        return [self._pod(pod) for pod in await self._api.pods()]

    async def get(self, pod_id: str) -> Pod | None:
        """Return a pod, or None if RunPod does not know it any more."""
        pod = await self._api.pod(pod_id)
        return None if pod is None else self._pod(pod)

    async def create(self, spec: PodSpec) -> Pod:
        """Make a pod."""
        try:
            return self._pod(await self._api.create(self._asked_for(spec)))
        except ProviderError:
            self._catalog = None  # what is in stock is another by now
            raise

    def _asked_for(self, spec: PodSpec) -> values.CreatePod:
        return self._contents.asked_for(spec, self._found or Found())

    async def start(self, pod_id: str) -> Pod:
        """Start a stopped pod, which stays tied to its host: its GPU may be taken."""
        return self._pod(await self._api.act(pod_id, "start"))

    async def stop(self, pod_id: str) -> Pod:
        """Stop a pod; its disk bills on."""
        return self._pod(await self._api.act(pod_id, "stop"))

    async def terminate(self, pod_id: str) -> None:
        """Order a pod's end."""
        await self._api.terminate(pod_id)

    async def logs(
        self, pod_id: str, source: LogSource | None, *, tail: int, follow: bool = False
    ) -> AsyncGenerator[LogLine]:
        """Yield a pod's log, at most 5,000 lines of the past."""
        async with aclosing(self._api.logs(pod_id, source, tail=tail, follow=follow)) as lines:
            async for line in lines:
                yield LogLine(line.text, line.source, line.at)

    async def balance(self) -> Balance | None:
        """Return the account's credit."""
        found = await self._api.balance()
        if found is None:
            return None
        return Balance(money(found.balance), money(found.spend_per_hour))

    async def billed(self, since_ms: Mapping[str, int]) -> dict[str, Decimal]:
        """Return the sums of RunPod's billing records, which lag by an hour and more."""
        billed: dict[str, Decimal] = {}
        since = min(since_ms.values()) + self.clock_ahead_ms
        start = datetime.fromtimestamp(since / 1000, UTC)
        for record in await self._api.billing(since_ms.keys(), start):
            before = billed.get(record.pod_id, Decimal(0))
            billed[record.pod_id] = before + money(record.total)
        return billed

    async def rights(self) -> Sequence[Right]:
        """Read what renting needs to read, and end a pod that does not exist.

        A key may make pods where it may end them: RunPod knows one right to write for both.

        Raises:
            ProviderError: RunPod cannot be asked, or refuses the key altogether.
        """
        return [
            Right("list pods", await _denied(self._api.pods)),
            Right("read the catalog of GPUs", await _denied(self._gpus)),
            Right("make and end pods", await _denied(partial(self._api.terminate, _NO_POD))),
        ]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._api.aclose()

    def _pod(self, pod: values.Pod) -> Pod:
        return pod_of(pod, self.clock_ahead_ms)


def pod_of(pod: values.Pod, clock_ahead_ms: int = 0) -> Pod:
    """Return a pod of RunPod's as `rental` knows one; its clock is so much ahead of ours."""
    created = pod.created_at
    return Pod(
        id=pod.id,
        name=pod.name,
        state=_STATES[pod.status],
        said=pod.status.value,
        price_usd_h=money(pod.cost_per_hour),
        created_ms=None if created is None else int(created.timestamp() * 1000) - clock_ahead_ms,
        started=pod.runtime is not None,
        gpu=pod.gpu.id if pod.gpu else None,
        cloud=pod.cloud.value.lower() if pod.cloud else "",
        startable="start" in pod.actions,
    )


def offer_of(gpu: values.GpuType, offer: values.GpuOffer) -> Offer:
    """Return one of RunPod's offers as the core knows one."""
    return Offer(
        gpu_id=gpu.id,
        cloud=offer.cloud.value.lower(),
        vram_gb=float(gpu.memory_gb),
        price_usd_h=money(offer.price_per_hour),
        stock=stock_of(offer.stock),
        reliable=offer.cloud is values.Cloud.SECURE,
        gpu_name=gpu.name,
        maker=gpu.manufacturer,
        most=offer.max_count,
    )


def stock_of(stock: values.Stock) -> Stock:
    """Return RunPod's word for what is in stock as the core has it."""
    return stock.value.lower()  # type: ignore[return-value]


def _open(settings: Settings) -> RunpodProvider:
    key = settings.runpod.api_key
    if key is None:
        raise ConfigurationError(
            "There is no RunPod API key.",
            hint="Make one in RunPod's console, under Settings, and set it: captiv config set "
            "runpod.api_key, or RUNPOD_API_KEY.",
        )
    api = RunpodApi(key.get_secret_value(), url=settings.runpod.api_url)
    return RunpodProvider(api, settings.runpod)


def _policy(settings: Settings) -> Policy:
    runpod = settings.runpod
    return Policy(
        wish=Wish(
            gpu_type=runpod.default_gpu_type.strip() or None,
            cloud=runpod.cloud,
            max_price_usd_h=money(runpod.max_price),
            price_setting="runpod.max_price",
            named="" if runpod.default_gpu_type == _DEFAULT_TYPE else "settings",
        ),
        startup_timeout_s=runpod.startup_timeout,
        guarded=guarded(runpod.guard_idle, runpod.startup_timeout),
        lost_after_s=runpod.lost_after,
        request_timeout_s=runpod.request_timeout,
        create=runpod.auto_create,
        lingers=not runpod.auto_terminate,
        carries=Contents.of(runpod).road == "carry",
        installs=Contents.of(runpod).road == "pip",
        public=Contents.of(runpod).public,
        volume=runpod.network_volume,
    )


async def _denied(call: Callable[[], Awaitable[object]]) -> str | None:
    try:
        await call()
    except AccessDenied as error:
        return error.message
    return None


RUNPOD: Final = ProviderType(
    name=NAME,
    label=LABEL,
    key_setting="runpod.api_key",
    has_key=lambda settings: settings.runpod.api_key is not None,
    open=_open,
    policy=_policy,
)
