"""Composition: one worker with its identity, its model, its work and its device."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from pydantic import ValidationError

from captiv.catalog import Family, Variant, build_prompt
from captiv.clock import monotonic_s
from captiv.errors import EngineFailed, UsageError, WorkerMismatch, WorkerNotReady
from captiv.wire import CaptionRequest, GuardLimits, ModelChange
from captiv_worker.batch_file import BatchFile
from captiv_worker.batcher import Permits, default_permits, stream_permits
from captiv_worker.engines import AnyEngine, ContinuousEngine, Loaded
from captiv_worker.engines.choice import available, check_generation
from captiv_worker.guard.folder import GuardFolder, Sign
from captiv_worker.loader import Loader
from captiv_worker.pipeline import Ask, Pipeline
from captiv_worker.problems import busy, reject
from captiv_worker.settings import Settings, Wrong
from captiv_worker.sizes import Sizes
from captiv_worker.status import Status
from captiv_worker.work import WorkStore

_log = logging.getLogger(__name__)


class Worker:
    """One model behind HTTP, and another one when somebody asks for it."""

    def __init__(
        self,
        settings: Settings,
        *,
        died: Callable[[], None],
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self.settings = settings
        self.boot_id = secrets.token_hex(8)
        self.status = Status(
            worker=settings.name,
            boot_id=self.boot_id,
            restarts=settings.restarts,
            engines=[settings.own_engine] if settings.own_engine else available(),
        )
        self.store = WorkStore(clock)
        self.batch_file = BatchFile(settings.batch_file)
        self.suspects = self.batch_file.take_suspects()
        self.pipeline = Pipeline(
            self.store,
            self.batch_file,
            boot_id=self.boot_id,
            captioned=self._captioned,
            resized=self._resized,
            died=self._lost,
        )
        self._died = died
        self._gone = False
        self._sizes: dict[tuple[Hashable, ...], Sizes] = {}
        self._folder = GuardFolder(settings.guard_folder) if settings.guard_folder else None
        self._loader = Loader(settings, self.status, _kept(self._folder))

    @property
    def source(self) -> str | None:
        """Where the weights come from, once that is known."""
        return self._loader.source

    @property
    def permits(self) -> Permits:
        """How many images the worker may hold."""
        return self.pipeline.permits

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the model and caption while the context is open."""
        async with self.pipeline.running(self._load):
            if self.settings.unloaded:
                self.status.refused()
            else:
                self.pipeline.want_load()
            yield

    def spoken(self) -> None:
        """Tell the guard that somebody with the token is there."""
        if self._folder is not None:
            self._folder.give(Sign.ALIVE)

    def change(self, change: ModelChange) -> bool:
        """Load another model; return False if that model is loaded already.

        Raises:
            Rejection: captions are in flight, another model is being loaded, or there is no such.
            CaptivError: the catalog says that this cannot be.
        """
        try:
            self._loader.check(change)
        except Wrong as error:
            raise reject(422, str(error)) from error
        status = self.status.health.status
        if status != "failed" and self._loader.has(change):
            return status == "loading"
        if self.permits.taken:
            raise busy(f"{self.permits.taken} images are in flight: ask again when they are done.")
        if status == "loading":
            raise busy(f"Another model is being loaded: {self._loader.wanted.model}.")
        if self._gone:
            raise WorkerNotReady("The worker lost its device and is ending.")
        _log.info("model_wanted model=%s variant=%s", change.model, change.variant)
        self.status.loading()
        self._loader.want(change)
        self.pipeline.want_load()
        return True

    def renew(self, limits: GuardLimits) -> None:
        """Hand the limits to the guard. Blocks.

        Raises:
            Rejection: this worker has no guard.
        """
        if self._folder is None:
            raise reject(404, "This worker has no guard.", code="not_found")
        self._folder.write_limits(limits.idle_s, limits.deadline)
        _log.info("limits_renewed idle_s=%g deadline=%s", limits.idle_s, limits.deadline)

    def ask(self, request: CaptionRequest) -> Ask:
        """Return what this request asks the engine.

        A `prompt` alone is used as it is: captiv has built it. With a mode, options or variables
        the prompt is built from the catalog, as captiv would.

        Raises:
            WorkerMismatch: it names another model or variant.
            UsageError: the family has no such mode or option, or takes no prompt; or the engine
                cannot honour a setting.
        """
        family, variant = self._loader.family, self._loader.variant
        assert family is not None, "the worker is not ready"
        assert variant is not None, "the worker is not ready"
        self._check_model(request, family, variant)
        generation = request.generation.over(family.generation)
        check_generation(self._loader.engine, generation)
        if request.tagging is not None and family.tagging is None:
            raise UsageError(f"{family.name} isn't a tagger; leave out `tagging`.")
        return Ask(
            prompt=_prompt(family, request),
            answer_schema=request.answer_schema,
            generation=generation,
            tagging=request.tagging or family.tagging,
            image=family.image,
            model=family.name,
            variant=variant.name,
        )

    def _check_model(self, request: CaptionRequest, family: Family, variant: Variant) -> None:
        variants = (None, variant.name, self.source)
        if request.model not in (family.name, *variants) or request.variant not in variants:
            asked = " ".join(filter(None, (request.model, request.variant)))
            raise WorkerMismatch(
                f"This worker serves {family.name} ({variant.name}), not {asked}.",
                hint="Load that model (PUT /api/model), or leave model and variant out.",
            )

    def _load(self) -> tuple[AnyEngine, Sizes] | None:
        """Load the model that is wanted, and let captions be asked for; on the device's thread."""
        self._keep()
        found = self._loader.load()
        if found is None:
            return None
        engine, loaded = found
        sizes = self._sizes_of(loaded)
        continuous = isinstance(engine, ContinuousEngine)
        crowd = stream_permits(sizes.now) if continuous else default_permits(sizes.soon)
        permits = self.permits.total = self.settings.permits or crowd
        self.status.ready(loaded, sizes.now, permits, engine=self._loader.engine)
        if self._folder is not None:
            self._folder.give(Sign.READY)
        _log.info(
            "ready engine=%s model=%s variant=%s device=%s dtype=%s max_batch=%d permits=%d",
            self._loader.engine,
            self.status.health.model,
            self.status.health.variant,
            loaded.device,
            loaded.dtype,
            sizes.now,
            permits,
        )
        return engine, sizes

    def _sizes_of(self, loaded: Loaded) -> Sizes:
        """Return what is known of this model's batches: it may have been loaded before."""
        health = self.status.health
        key = (health.model, health.variant, self.source, loaded)
        return self._sizes.setdefault(key, Sizes(loaded.max_batch, loaded.largest_batch))

    def _resized(self, max_batch: int, crowd: int) -> None:
        """Hold as many images as batches of this size need."""
        self.permits.total = self.settings.permits or crowd
        self.status.resized(max_batch, self.permits.total)
        _log.info("batch_resized max_batch=%d permits=%d", max_batch, self.permits.total)

    def _keep(self) -> None:
        """Have the next life of this worker load the same model."""
        if self._folder is None:
            return
        try:
            self._folder.write_model(self._loader.wanted.model_dump())
        except OSError as error:
            _log.warning("model_not_kept error=%s", error.strerror)

    def _captioned(self) -> None:
        self.status.captioned()
        if self._folder is not None:
            self._folder.give(Sign.CAPTIONED)

    def _lost(self) -> None:
        """Say that the device is gone, and have the process ended."""
        self._gone = True
        self.status.fail(EngineFailed("The worker lost its device and is ending."))
        self._died()


def _kept(folder: GuardFolder | None) -> ModelChange | None:
    """Return the model that an earlier life was asked for, if this one has the same guard."""
    kept = folder.model() if folder is not None else {}
    try:
        return ModelChange.model_validate(kept) if kept else None
    except ValidationError:
        return None


def _prompt(family: Family, request: CaptionRequest) -> str | None:
    built = request.mode or request.length or request.prompt_options or request.prompt_variables
    if built or not request.prompt:
        return build_prompt(
            family,
            mode=request.mode,
            length=request.length,
            prompt=request.prompt or None,
            options=request.prompt_options,
            variables=request.prompt_variables,
        )
    if not family.takes_prompt and request.prompt not in {m.prompt for m in family.modes}:
        raise UsageError(f"{family.name} takes no prompt.")
    return request.prompt
