"""Composition: one worker with its identity, its model, its work and its device."""

import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from PIL import Image

from captiv.catalog import Family, Variant, build_prompt
from captiv.errors import CaptivError, EngineFailed, ModelError, UsageError, WorkerMismatch
from captiv.wire import CaptionRequest
from captiv_worker.batch_file import BatchFile
from captiv_worker.batcher import Permits, default_permits
from captiv_worker.engines import (
    DeviceLost,
    Engine,
    EngineItem,
    EngineSpec,
    Failure,
    OutOfMemory,
    build_engine,
)
from captiv_worker.models import custom, resolve
from captiv_worker.pipeline import Ask, Pipeline
from captiv_worker.settings import Settings
from captiv_worker.status import Status
from captiv_worker.work import WorkStore

_log = logging.getLogger(__name__)


class Worker:
    """One model, loaded once, behind HTTP."""

    def __init__(
        self,
        settings: Settings,
        *,
        died: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.boot_id = secrets.token_hex(8)
        self.status = Status(worker=settings.name, boot_id=self.boot_id)
        self.store = WorkStore(clock)
        self.batch_file = BatchFile(settings.batch_file)
        self.suspects = self.batch_file.take_suspects()
        self.pipeline = Pipeline(self.store, self.batch_file, boot_id=self.boot_id, died=self._lost)
        self._died = died
        self.source: str | None = None
        self._family: Family | None = None
        self._variant: Variant | None = None

    @property
    def permits(self) -> Permits:
        """How many images the worker may hold."""
        return self.pipeline.permits

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the model and caption while the context is open."""
        async with self.pipeline.running(self._load):
            yield

    def ask(self, request: CaptionRequest) -> Ask:
        """Return what this request asks the engine.

        A `prompt` alone is used as it is: captiv has built it. With a mode, options or variables
        the prompt is built from the catalog, as captiv would.

        Raises:
            WorkerMismatch: it names another model or variant.
            UsageError: the family has no such mode or option, or takes no prompt.
        """
        family, variant = self._family, self._variant
        assert family is not None, "the worker is not ready"
        assert variant is not None, "the worker is not ready"
        self._check_model(request, family, variant)
        return Ask(
            prompt=_prompt(family, request),
            generation=request.generation.over(family.generation),
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
                hint="Start a worker for that model, or leave model and variant out.",
            )

    def _lost(self) -> None:
        """Say that the device is gone, and have the process ended."""
        self.status.fail(EngineFailed("The worker lost its device and is ending."))
        self._died()

    def _load(self) -> tuple[Engine, int] | None:
        """Bring the engine to its first caption; on the device's thread, where it stays."""
        start_s = time.perf_counter()
        try:
            engine = build_engine(self._spec())
            loaded = engine.load(self.status.phase)
            self.status.phase("warming")
            self._warm(engine)
        except CaptivError as error:
            _log.error("load_failed code=%s reason=%r", error.code, error.message)
            self.status.fail(error)
            return None
        except Exception as error:
            _log.exception("load_failed")
            kind = type(error).__name__
            self.status.fail(ModelError(f"The engine failed to load ({kind}); the log says why."))
            return None
        permits = self.settings.permits or default_permits(loaded.max_batch)
        self.pipeline.permits.total = permits
        self.status.ready(loaded, permits)
        _log.info(
            "ready model=%s variant=%s device=%s dtype=%s max_batch=%d permits=%d load_s=%.1f",
            self.status.health.model,
            self.status.health.variant,
            loaded.device,
            loaded.dtype,
            loaded.max_batch,
            permits,
            time.perf_counter() - start_s,
        )
        return engine, loaded.max_batch

    def _spec(self) -> EngineSpec:
        settings = self.settings
        kind, path = settings.engine, ""
        if kind is None:
            self.status.phase("resolving")
            resolved = resolve(settings.model, settings.variant, settings.source, self.status.phase)
            self._serves(resolved.choice.family, resolved.choice.variant, resolved.source)
            kind, path = resolved.choice.family.engine, str(resolved.path)
        else:
            self._serves(*custom(settings.model, settings.variant), kind)
        health = self.status.health
        return EngineSpec(
            kind=kind,
            model=health.model or "",
            variant=health.variant or "",
            path=path,
            device=settings.device,
            dtype=settings.dtype,
            max_batch=settings.max_batch,
            options=settings.engine_options,
        )

    def _serves(self, family: Family, variant: Variant, source: str) -> None:
        self._family, self._variant, self.source = family, variant, source
        self.status.serves(family.name, variant.name)

    def _warm(self, engine: Engine) -> None:
        """Caption one grey image, so that the first real one is quick and a broken engine shows."""
        assert self._family is not None, "the family is known before its engine"
        size = (self._family.image.size_px,) * 2
        generation = self._family.generation.model_copy(update={"max_new_tokens": 4})
        item = EngineItem(Image.new("RGB", size, (128, 128, 128)), None, generation)
        try:
            outcome = engine.caption([item])[0]
        except (OutOfMemory, DeviceLost) as error:
            raise ModelError(
                f"The model does not run on this device: {error}.",
                hint="Use a smaller variant, another --dtype, or --device cpu.",
            ) from error
        if isinstance(outcome, Failure):
            raise ModelError(f"The engine failed on a plain grey image: {outcome.message}")


def _prompt(family: Family, request: CaptionRequest) -> str | None:
    built = request.mode or request.prompt_options or request.prompt_variables
    if built or not request.prompt:
        return build_prompt(
            family,
            mode=request.mode,
            prompt=request.prompt or None,
            options=request.prompt_options,
            variables=request.prompt_variables,
        )
    if not family.takes_prompt and request.prompt not in {m.prompt for m in family.modes}:
        raise UsageError(f"{family.name} takes no prompt.")
    return request.prompt
