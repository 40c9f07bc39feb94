"""RunPod's REST API v2, as far as captiv uses it.

Every call has a deadline, and fails with one of the `ProviderError`s. A list is whole or an error:
one that cannot be read is never an empty one. `POST /v2/pods` is the call that costs money and is
not idempotent, so it is sent once: whoever calls `create` has stored the pod's unique name before,
and after `PodMayExist`, or a cancellation, looks for that name among `pods()`.
"""

from collections.abc import AsyncGenerator, Callable, Collection
from datetime import UTC, datetime
from random import random
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import anyio
import httpx2
from pydantic import BaseModel, ValidationError

from captiv.errors import (
    PodGone,
    ProviderError,
    ProviderMismatch,
    ProviderRejected,
    ProviderUnreachable,
)
from captiv.rental.runpod import refusals
from captiv.rental.runpod.catalog import merge
from captiv.rental.runpod.exchange import CallLimits, Exchange, Params, Sleep
from captiv.rental.runpod.logs import PodLog
from captiv.rental.runpod.pages import BillingPage, GpuPage, Page, PodPage, RegistryPage
from captiv.rental.runpod.refusals import Refusal
from captiv.rental.runpod.values import (
    Action,
    Balance,
    BillingRecord,
    Cloud,
    CreatePod,
    GpuType,
    LogLine,
    LogSource,
    NetworkVolume,
    Pod,
    Registry,
    Reply,
    Template,
)

URL = "https://api.runpod.io"

_MAX_PAGES = 1000
_BALANCE = "query { myself { clientBalance currentSpendPerHr spendLimit } }"

_Model = TypeVar("_Model", bound=BaseModel)
_Page = TypeVar("_Page", bound=Page)


class _Myself(Reply):
    myself: Balance


class _GraphQL(Reply):
    data: _Myself


class RunpodApi:
    """One RunPod account, spoken to with its key."""

    def __init__(
        self,
        key: str,
        *,
        url: str = URL,
        limits: CallLimits | None = None,
        sleep: Sleep = anyio.sleep,
        chance: Callable[[], float] = random,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect at the first call; `sleep` and `chance` (0 to 1) are for tests.

        Raises:
            ConfigurationError: no header can carry the key.
        """
        self._exchange = Exchange(
            key,
            url,
            limits=limits or CallLimits(),
            sleep=sleep,
            chance=chance,
            transport=transport,
        )

    @property
    def clock_ahead_ms(self) -> int:
        """By how much RunPod's clock is ahead of this machine's, as far as it was heard."""
        return self._exchange.clock_ahead_ms

    def __repr__(self) -> str:
        return f"RunpodApi(url={self._exchange.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        with anyio.move_on_after(2, shield=True):
            await self._exchange.aclose()

    async def create(self, wanted: CreatePod) -> Pod:
        """Make a pod, which bills from now on, and return it.

        A service that does not know `entrypoint` and `cmd` is asked once more with `args`.

        Raises:
            NoCapacity: this GPU cannot be placed there now, or the request breaks a rule.
            AccessDenied: the account may not use this pool; another may do.
            NoBalance: no candidate will do.
            PodMayExist: whether the pod exists is unknown; look for its name.
            ProviderError: anything else; the pod does not exist.
        """
        response = await self._create(wanted)
        if (wanted.entrypoint or wanted.cmd) and self._exchange.refusal(response).disputes(
            "entrypoint", "cmd"
        ):
            if wanted.replaces_entrypoint:
                raise ProviderRejected(
                    f"RunPod's API takes no entrypoint now, and {wanted.image} needs another one.",
                    hint="Use --engine transformers, whose image needs none.",
                )
            response = await self._create(wanted.with_args())
        if not response.is_success:
            where = f"{wanted.gpu.count} x {wanted.gpu.id} in the {wanted.cloud.lower()} cloud"
            raise refusals.of_create(
                self._exchange.refusal(response),
                name=wanted.name,
                wanted=where,
                template=wanted.template_id,
            )
        try:
            return _parse(Pod, response)
        except ProviderMismatch as error:
            raise refusals.may_exist(wanted.name, error.message.rstrip(".")) from error

    async def pods(self) -> list[Pod]:
        """Return every pod of the account that is not terminated. A new one may be missing yet."""
        found = {
            pod.id: pod for page in await self._pages(PodPage, "/v2/pods") for pod in page.pods
        }
        return [pod for pod in found.values() if not pod.gone]

    async def pod(self, pod_id: str) -> Pod | None:
        """Return a pod, or None if it is gone: RunPod says 404 or TERMINATED."""
        response = await self._exchange.ask("GET", _pod_path(pod_id))
        try:
            pod = _parse(Pod, self._good(response, pod=pod_id))
        except PodGone:
            return None
        return None if pod.gone else pod

    async def terminate(self, pod_id: str) -> None:
        """Ask for a pod's end; return also if it was gone already.

        RunPod has taken the order when this returns; that the pod is gone, `pod` tells.

        Raises:
            PodConflict: it is part of a cluster.
        """
        response = await self._exchange.ask("DELETE", _pod_path(pod_id))
        try:
            self._good(response, pod=pod_id)
        except PodGone:
            return

    async def act(self, pod_id: str, action: Action) -> Pod:
        """Start, stop or restart a pod and return it as it is then.

        Raises:
            PodGone: there is no such pod.
            PodConflict: not in its present state, which `Pod.actions` tells.
            NoCapacity: a stopped pod's machine has no free GPU.
        """
        response = await self._exchange.ask(
            "POST", f"{_pod_path(pod_id)}/action", body={"action": action}
        )
        if not response.is_success:
            raise refusals.of_action(self._exchange.refusal(response), pod=pod_id)
        return _parse(Pod, response)

    def logs(
        self,
        pod_id: str,
        source: LogSource | None = "container",
        *,
        tail: int = 100,
        follow: bool = False,
    ) -> AsyncGenerator[LogLine]:
        """Yield a pod's last `tail` lines (5000 at most), then with `follow` until it is gone.

        Without a source, those of the container and of its host. Leave it early only by closing it
        (`contextlib.aclosing`).

        Raises:
            PodGone: there is no such pod.
        """
        return PodLog(self._exchange, pod_id, source=source, tail=tail, follow=follow).lines()

    async def gpus(self, count: int = 1) -> list[GpuType]:
        """Return every GPU type on offer, with price and stock of `count` of them in each cloud."""
        answers = {}
        for cloud in Cloud:
            params = {
                "include": "AVAILABILITY",
                "product": "POD",  # required with include, and refused without it
                "cloud": cloud.value,
                "count": str(count),
            }
            pages = await self._pages(GpuPage, "/v2/catalog/gpus", params)
            answers[cloud] = [gpu for page in pages for gpu in page.gpus]
        return merge(answers)

    async def template(self, template_id: str) -> Template:
        """Return a template of the account, or a public one.

        Raises:
            ProviderRejected: RunPod knows none of this id.
            AccessDenied: the key may not read templates.
        """
        response = await self._exchange.ask("GET", f"/v2/templates/{quote(template_id, safe='')}")
        if (refusal := self._unknown(response)) is not None:
            raise refusals.no_template(template_id, refusal.words)
        return _parse(Template, self._good(response))

    async def network_volume(self, volume_id: str) -> NetworkVolume | None:
        """Return a network volume of the account, or None if RunPod knows none of this id.

        Raises:
            AccessDenied: the key may not read network volumes.
        """
        path = f"/v2/network-volumes/{quote(volume_id, safe='')}"
        response = await self._exchange.ask("GET", path)
        if self._unknown(response) is not None:
            return None
        return _parse(NetworkVolume, self._good(response))

    async def registries(self) -> list[Registry]:
        """Return the account's credentials for registries of images, without their secrets.

        Raises:
            AccessDenied: the key may not read them.
        """
        pages = await self._pages(RegistryPage, "/v2/registries")
        return [registry for page in pages for registry in page.registries]

    async def billing(self, pod_ids: Collection[str], start: datetime) -> list[BillingRecord]:
        """Return what RunPod has billed for these pods since the full hour before `start`.

        It lags behind, by up to an hour and more; one pod's records are an hour each.
        """
        if not pod_ids:
            return []
        params = {
            "startTime": start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "bucketSize": "hour",
        }
        if len(pod_ids) == 1:
            params["podId"] = next(iter(pod_ids))
        pages = await self._pages(BillingPage, "/v2/billing/pods", params)
        records = (record for page in pages for record in page.records)
        return [record for record in records if record.pod_id in pod_ids]

    async def balance(self) -> Balance | None:
        """Return the account's money, or None if it cannot be had; never an error.

        Only RunPod's GraphQL API knows it, which ends in early 2027.
        """
        try:
            response = await self._exchange.ask(
                "POST",
                "/graphql",
                body={"query": _BALANCE},
                timeout_s=self._exchange.limits.balance_s,
                tries=1,
            )
            return _parse(_GraphQL, self._good(response)).data.myself
        except ProviderError:
            return None

    async def _create(self, wanted: CreatePod) -> httpx2.Response:
        try:
            return await self._exchange.ask(
                "POST",
                "/v2/pods",
                body=wanted.body(),
                timeout_s=self._exchange.limits.create_s,
            )
        except ProviderUnreachable as error:
            if not error.sent:
                raise
            raise refusals.may_exist(wanted.name, error.message.rstrip(".")) from error

    def _unknown(self, response: httpx2.Response) -> Refusal | None:
        """Return the API's own word that it knows no such thing, or None."""
        refusal = None if response.is_success else self._exchange.refusal(response)
        known = refusal is None or refusal.status != 404 or not refusal.from_api
        return None if known else refusal

    def _good(self, response: httpx2.Response, *, pod: str | None = None) -> httpx2.Response:
        """Return a success, or raise what the refusal means."""
        if response.is_success:
            return response
        raise refusals.meaning(self._exchange.refusal(response), pod=pod)

    async def _pages(
        self, kind: type[_Page], path: str, params: Params | None = None
    ) -> list[_Page]:
        """Return every page of a list.

        Raises:
            ProviderMismatch: it cannot be read to its end.
        """
        pages: list[_Page] = []
        cursors: set[str] = set()
        asked = dict(params or {})
        while len(pages) < _MAX_PAGES:
            response = await self._exchange.ask("GET", path, params=asked)
            pages.append(_parse(kind, self._good(response)))
            cursor = pages[-1].next_cursor()
            if cursor is None:
                return pages
            if cursor in cursors:
                break
            cursors.add(cursor)
            asked["cursor"] = cursor
        raise ProviderMismatch(f"RunPod's list {path} has no end.")


def _pod_path(pod_id: str) -> str:
    return f"/v2/pods/{quote(pod_id, safe='')}"


def _parse(model: type[_Model], response: httpx2.Response) -> _Model:
    """Read a success.

    Raises:
        ProviderMismatch: it is not what RunPod's contract says.
    """
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"]) or "body"
        raise ProviderMismatch(
            f"RunPod's answer to {response.request.url.path} cannot be read: "
            f"{where}: {wrong['msg'].lower()}."
        ) from error
