"""Where the captions of a run come from: this machine, a URL or a rented pod.

Half of the composition root, beside `service`: it alone knows which settings and secrets a worker
is made of, and ends the pods that an earlier command of this installation left.
"""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count

import anyio

from captiv.catalog import ImagePolicy, family_named, foreign
from captiv.core import retry
from captiv.core.bill import Bill
from captiv.core.findings import first_error
from captiv.core.jobs import WANTED_MS, Run, RunId, SessionId
from captiv.core.quiet import Patience
from captiv.core.spec import Captioning, Placement, RunSpec, Site
from captiv.dispatch.claims import Claims
from captiv.dispatch.events import Reporter
from captiv.dispatch.outlook import look
from captiv.errors import (
    CaptivError,
    ConfigurationError,
    ProviderError,
    UsageError,
)
from captiv.offload import offload
from captiv.rental.account import Account, opened
from captiv.rental.billing import confirmed
from captiv.rental.checks import rental_checks
from captiv.rental.fleet import Fleet
from captiv.rental.podspec import terms_of
from captiv.rental.provider import ProviderType
from captiv.rental.provision import RentalContext
from captiv.rental.runpod import RUNPOD
from captiv.rental.source import RentedWorker
from captiv.rental.sweep import sweep
from captiv.rental.unended import Unended, UnendedPods
from captiv.settings import Paths, Secret, Settings, installation_secret
from captiv.store import Connection, Store, pods, runs
from captiv.workers import (
    MOMENT_S,
    Check,
    LocalWorker,
    UrlWorker,
    WorkerSource,
    findings,
    machine,
)
from captiv.workers.local import LocalSettings, reason_against
from captiv.workers.openai import Asking, OpenAiServer, Wanted

PROVIDERS: Mapping[str, ProviderType] = {kind.name: kind for kind in (RUNPOD,)}
"""Whom captiv can rent from, by their names in settings, ledger and commands."""
_SUSPICIOUS_MS = 24 * 3_600_000
"""A pod that was ended in this time is looked for again: its provider may not have done it."""
ENGINE_VARIABLE = "CAPTIV_ENGINE"
"""`module:attribute` of an engine for local workers instead of the family's; for tests."""
ENGINE_OPTIONS_VARIABLE = "CAPTIV_ENGINE_OPTIONS"


class Sources:
    """Makes the workers that runs need, and what feeds them."""

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        reporter: Reporter,
        *,
        specs: Mapping[RunId, RunSpec],
        now_ms: Callable[[], int],
    ) -> None:
        """Args: `specs` has the spec of every run that is served."""
        self._paths = paths
        self._settings = settings
        self._reporter = reporter
        self._specs = specs
        self._now_ms = now_ms
        self._fleets: dict[RunId, Fleet] = {}
        self.unended = UnendedPods()
        """Pods that were to end, and were not seen to."""
        self._numbers = count(1)
        """Of the workers on this machine, whose running batches are in a file each."""
        self._unswept: dict[str, str] = {}
        """Why the last sweep at a provider could not be done, which is said once."""

    def provider(
        self, store: Store, session: SessionId
    ) -> Callable[[Run], tuple[WorkerSource, Claims]]:
        """Return what makes a worker for a run, and the claims that feed it."""
        secret = installation_secret(self._paths.secret_file)

        def provide(run: Run) -> tuple[WorkerSource, Claims]:
            claims = Claims(
                store,
                session,
                installation=secret.id,
                policy=_policy(run.spec.captioning),
                specs=self._specs,
            )
            return self._source(store, run, secret, session), claims

        return provide

    async def incapable(self, spec: RunSpec) -> str | None:
        """Say why this machine plainly cannot do a run, or None: an engine of one's own may."""
        if os.environ.get(ENGINE_VARIABLE):
            return None
        asked = spec.captioning
        here = await offload(machine, asked.source)
        return reason_against(
            here,
            asked.model,
            asked.variant,
            dtype=asked.dtype,
            device=spec.placement.device,
            engine=spec.placement.engine,
        )

    def checks(
        self,
        spec: RunSpec,
        placement: Placement | None = None,
        *,
        patience_s: float = MOMENT_S,
        rents: bool = True,
    ) -> Sequence[Check]:
        """Return what is to be looked at before a run: the one list for runs, dry runs and doctor.

        Args:
            spec: what the run is to do.
            placement: the worker that is looked at; None of a run with one worker.
            patience_s: how long a worker that somebody else runs may be silent.
            rents: False where a pod is there that a run may use.

        Raises:
            ConfigurationError: a setting is missing without which there is nothing to look at.
        """
        where = placement or spec.placement
        if where.kind == "rented":
            return rental_checks(provider_of(where), spec, self._settings, rents=rents)
        if where.kind == "local":
            return self._here(spec.captioning, where, 1).checks()
        if where.protocol == "openai":
            return self._chat_server(spec.captioning, where).checks(patience_s=patience_s)
        return self._elsewhere(where).checks(spec.captioning, patience_s=patience_s)

    async def obstacle(
        self, spec: RunSpec, store: Store | None, *, patience_s: float = MOMENT_S
    ) -> CaptivError | None:
        """Return why a run that is still to begin would end before its first image, or None.

        Where there is no image to caption, nothing is in its way; nor where one worker of several
        can be had.
        """
        seen = await offload(partial(look, spec, store, limit_s=MOMENT_S))
        if not seen.wanted:
            return None
        sites = list(dict.fromkeys(spec.placement.sites))
        missing: dict[Site, CaptivError | None] = {}

        async def ask(site: Site) -> None:
            where = spec.placement.at(site)
            missing[site] = await self._without_worker(spec, where, store, patience_s)

        async with anyio.create_task_group() as tg:
            for site in sites:
                tg.start_soon(ask, site)
        errors = [error for site in sites if (error := missing[site]) is not None]
        return errors[0] if len(errors) == len(sites) else seen.unwritable

    async def _without_worker(
        self, spec: RunSpec, where: Placement, store: Store | None, patience_s: float
    ) -> CaptivError | None:
        """Return why no worker could be had there for a run, or None.

        What this machine would take over, or what would be waited for, is no reason.
        """
        there = False
        if where.kind == "rented" and where.provider is not None and store is not None:
            there = bool(await store.aread(pods.live, where.provider))
        try:
            checks = self.checks(spec, where, patience_s=patience_s, rents=not there)
        except CaptivError as missing:
            error: CaptivError | None = missing
        else:
            error = first_error(await findings(checks))
        if error is None or where.kind != "rented" or isinstance(error, UsageError):
            return error
        passing = retry.passing(error)
        if where.fallback == "wait":
            return None if passing else error
        if where.goes_on_here(passing=passing):
            reason = await self.incapable(spec)
            if reason is None:
                return None
            hint = f"{error.hint or ''}\nThis machine cannot take over: {reason}"
            error.hint = f"{hint} The images stay for the next run."
        elif where.fallback == "local":
            here = "Or have this machine caption them: --fallback local."
            error.hint = f"{error.hint} {here}" if error.hint else here
        return error

    async def sweep(self, store: Store, session: SessionId) -> None:
        """End the pods of this installation that nobody needs.

        At the start, beside the run; and at its end, when a pod of an earlier command of this very
        run, which had nothing left to caption, is nobody's either.
        """
        for kind in PROVIDERS.values():
            await self._sweep(kind, store, session)

    async def _sweep(self, kind: ProviderType, store: Store, session: SessionId) -> None:
        since_ms = self._now_ms() - _SUSPICIOUS_MS
        billing = await store.aread(_has_pods, kind.name)
        if not kind.has_key(self._settings):
            if billing:
                self._reporter.warned(
                    f"Pods of earlier runs may bill at {kind.label}, and there is no API key."
                )
                await self._not_swept(kind, store)
            return
        if not billing and not await store.aread(pods.recent, kind.name, since_ms):
            return
        try:
            async with opened(kind, self._paths, self._settings) as account:
                swept = await sweep(account, store, session=session, now_ms=self._now_ms)
        except ProviderError as error:
            if error.message != self._unswept.get(kind.name):
                self._reporter.warned(
                    f"Pods of earlier runs could not be looked for: {error.message}"
                )
            self._unswept[kind.name] = error.message
            await self._not_swept(kind, store)
            return
        self.unended.swept(
            kind.name,
            [
                Unended(kind.name, pod.pod_id, kind.label, account.provider.console)
                for pod in swept
                if pod.outcome == "still there" and pod.pod_id is not None
            ],
        )
        for pod in swept:
            if pod.outcome in ("terminated", "still there"):
                self._reporter.warned(f"Pod {pod.pod_id}: {pod.outcome} ({pod.reason}).")

    async def unswept(self, store: Store) -> None:
        """Take note that the last sweep was not done in time."""
        for kind in PROVIDERS.values():
            await self._not_swept(kind, store)

    async def _not_swept(self, kind: ProviderType, store: Store) -> None:
        """Remember the pods that a sweep would have ended, as far as the ledger knows them."""
        heard = await store.aread(runs.heard, self._now_ms() - WANTED_MS)
        others = heard.keys() - self._specs.keys()
        self.unended.add(
            Unended(kind.name, row.pod_id, kind.label)
            for row in await store.aread(pods.live, kind.name)
            if row.made_by == "run" and not row.lingers and row.pod_id is not None
            if others.isdisjoint({row.run_id, *row.users})
        )

    async def bill(self, store: Store, run_id: RunId) -> Bill | None:
        """Return what the run's pods cost, beside what its provider says in a moment; or None."""
        drawn = await store.aread(pods.bill, run_id, self._now_ms())
        for kind in PROVIDERS.values():
            theirs = [pod for pod in drawn if pod.provider == kind.name]
            if theirs and kind.has_key(self._settings):
                async with opened(kind, self._paths, self._settings) as account:
                    said = {pod.pod_id: pod for pod in await confirmed(account.provider, theirs)}
                drawn = [
                    said.get(pod.pod_id, pod) if pod.provider == kind.name else pod for pod in drawn
                ]
        return Bill(tuple(drawn)) if drawn else None

    def _source(self, store: Store, run: Run, secret: Secret, session: SessionId) -> WorkerSource:
        placement = run.spec.placement
        if placement.kind == "rented":
            return self._rented(store, run, secret, session)
        if placement.kind == "url":
            if placement.protocol == "openai":
                return self._chat_server(run.spec.captioning, placement)
            return self._elsewhere(placement)
        return self._here(run.spec.captioning, placement, self._on_cpu(run.id))

    def _on_cpu(self, run_id: RunId) -> int:
        """Return how many workers of a run share the cores of this machine."""
        return sum(site.device == "cpu" for site in self._specs[run_id].placement.sites)

    def _here(self, captioning: Captioning, placement: Placement, on_cpu: int) -> LocalWorker:
        local = LocalSettings(
            model=captioning.model,
            variant=captioning.variant,
            source=captioning.source,
            device=placement.device,
            dtype=captioning.dtype,
            batch_size=placement.batch_size,
            image_memory_mb=self._settings.images.memory_mb,
            shares=max(1, on_cpu) if placement.device == "cpu" else 1,
            engine=os.environ.get(ENGINE_VARIABLE) or placement.engine,
            engine_options=os.environ.get(ENGINE_OPTIONS_VARIABLE),
        )
        log = self._paths.log_file.with_name("worker.log")
        return LocalWorker(
            local,
            folder=self._paths.data_dir,
            log=log,
            number=next(self._numbers),
            patience=self._patience(),
        )

    def _elsewhere(self, placement: Placement) -> UrlWorker:
        token = self._settings.worker.token_for(placement.url or "")
        if token is None:
            raise ConfigurationError(
                "The worker's token is not known.",
                hint="Set CAPTIV_WORKER_TOKEN, or `captiv config set worker.token`; for several "
                "workers with a token each: worker.tokens.",
            )
        return UrlWorker(
            placement.url or "",
            token.get_secret_value(),
            insecure=placement.insecure,
            patience=self._patience(),
        )

    def _patience(self) -> Patience:
        worker = self._settings.worker
        return Patience(
            warning_s=worker.silence_warning,
            limit_s=worker.silence_limit,
            first_s=worker.first_caption,
            drain_s=worker.drain_limit,
        )

    def _chat_server(self, captioning: Captioning, placement: Placement) -> OpenAiServer:
        token = self._settings.worker.token_for(placement.url or "")
        family = family_named(captioning.model)
        known = family is not None and family.variant(captioning.variant) is not None
        asking = Asking(
            Wanted((captioning.variant, captioning.source), strict=not known),
            source=captioning.source if family is not None else None,
            system=family.system or None if family is not None else None,
            most_at_once=placement.batch_size,
            timeout_s=self._settings.worker.request_timeout,
        )
        return OpenAiServer(
            placement.url or "",
            token.get_secret_value() if token is not None else None,
            asking,
            insecure=placement.insecure,
            on_note=self._reporter.warned,
            patience=self._patience(),
        )

    def _rented(self, store: Store, run: Run, secret: Secret, session: SessionId) -> WorkerSource:
        kind = provider_of(run.spec.placement)
        settings = self._settings
        account = Account(kind.open(settings), kind.policy(settings), self._paths, secret)
        terms = terms_of(run, account.policy, account.owner)
        fleet = self._fleets.get(run.id)
        if fleet is None or fleet.abandoned:
            fleet = Fleet(store, run.id, terms.max_cost, now_ms=self._now_ms, session=session)
            self._fleets[run.id] = fleet
        return RentedWorker(
            RentalContext(
                account,
                store,
                self._now_ms,
                self._reporter.warned,
                unended=self.unended,
                on_price=self._reporter.priced,
            ),
            terms,
            fleet,
            new_token=lambda: secrets.token_hex(6),
            patience=self._patience(),
        )


def provider_of(placement: Placement) -> ProviderType:
    """Return whom a run that is placed so rents from.

    Raises:
        ConfigurationError: this captiv doesn't know that provider.
    """
    name = placement.provider or ""
    kind = PROVIDERS.get(name)
    if kind is None:
        raise ConfigurationError(
            f"This run rents from {name or 'nobody'}, which isn't a provider of this captiv.",
            hint=f"It knows: {', '.join(PROVIDERS)}. A newer captiv may know more.",
        )
    return kind


def _has_pods(conn: Connection, provider: str) -> bool:
    return bool(pods.live(conn, provider) or pods.unsettled(conn, provider))


def _policy(captioning: Captioning) -> ImagePolicy:
    family = family_named(captioning.model) or foreign(captioning.model).family
    return family.image_of(captioning.variant)
