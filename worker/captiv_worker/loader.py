"""From the model that is wanted to an engine that has captioned its first image."""

import errno
import logging
from dataclasses import replace
from pathlib import Path

import anyio.from_thread
from PIL import Image

from captiv.catalog import Family, ModelChoice, Variant, build_prompt, default_family
from captiv.clock import monotonic_s
from captiv.errors import CaptivError, DiskFull, HostUnfit, ModelError
from captiv.wire import ModelChange
from captiv_worker.engines import (
    AnyEngine,
    ContinuousEngine,
    DeviceLost,
    EngineItem,
    EngineSpec,
    Failure,
    Loaded,
    Outcome,
    OutOfMemory,
    build_engine,
)
from captiv_worker.engines.choice import TRANSFORMERS, VLLM, choose_engine
from captiv_worker.models import custom, named, resolve
from captiv_worker.settings import DTYPES, Settings, Wrong
from captiv_worker.status import Status

_log = logging.getLogger(__name__)


class Loader:
    """Knows which model is wanted, and loads it; on the device's thread, where the engine stays."""

    def __init__(self, settings: Settings, status: Status, wanted: ModelChange | None) -> None:
        """Args: `wanted` goes before the model that the settings name."""
        self._settings = settings
        self._status = status
        self.wanted = wanted or _of(settings)
        self.family: Family | None = None
        self.variant: Variant | None = None
        self.source: str | None = None
        self.engine = TRANSFORMERS
        """What drives the model that is loaded, or being loaded."""

    def check(self, change: ModelChange) -> None:
        """Refuse what can be known to be wrong before the model that is loaded is dropped.

        Raises:
            CaptivError: the catalog has no such variant, or the names contradict each other.
            ModelError: the engine that this worker was told to take cannot drive it.
            Wrong: there is no such dtype.
        """
        if change.dtype not in (None, *DTYPES):
            raise Wrong(f"dtype is one of {', '.join(DTYPES)}, not {change.dtype!r}.")
        if self._settings.own_engine is None:
            choice = named(change.model, change.variant, change.source)
            if choice is not None:
                self._choose(choice.family, change.dtype or "auto")

    def want(self, change: ModelChange) -> None:
        """Load this one from now on."""
        self.wanted = change
        self.family = self.variant = self.source = None

    def has(self, change: ModelChange) -> bool:
        """Whether the model that is loaded, or being loaded, is what this change asks for."""
        if change == self.wanted:
            return True
        dtypes = (None, "auto", self.wanted.dtype, self._status.health.dtype)
        batches = (None, self.wanted.max_batch)
        return self._is(change) and change.dtype in dtypes and change.max_batch in batches

    def _is(self, change: ModelChange) -> bool:
        if self.family is None or self.variant is None:
            return False
        names = (self.family.name, self.variant.name)
        if self._settings.own_engine is not None:
            family, variant = custom(change.model, change.variant)
            return names == (family.name, variant.name)
        choice = named(change.model, change.variant, change.source)
        if choice is None:
            return (change.source or change.model) == self.source
        source = change.source or choice.variant.source
        if change.variant is not None and change.variant == change.source:
            return (self.family.name, self.source) == (choice.family.name, source)
        return (*names, self.source) == (choice.family.name, choice.variant.name, source)

    def load(self) -> tuple[AnyEngine, Loaded] | None:
        """Return the warm engine, or None if it failed: the status says why."""
        start_s = monotonic_s()
        try:
            engine = build_engine(self._spec())
            loaded = self._loaded(engine)
        except CaptivError as error:
            _log.error("load_failed code=%s reason=%r", error.code, error.message)
            self._status.fail(error)
            return None
        except DeviceLost as error:
            _log.exception("load_failed")
            self._status.fail(HostUnfit(f"The device of this machine fails: {error}."))
            return None
        except (OutOfMemory, MemoryError) as error:
            _log.exception("load_failed")
            self._status.fail(_too_large(error))
            return None
        except Exception as error:
            _log.exception("load_failed")
            self._status.fail(_failed(error))
            return None
        _log.info("loaded source=%s load_s=%.1f", self.source, monotonic_s() - start_s)
        return engine, loaded

    def _loaded(self, engine: AnyEngine) -> Loaded:
        try:
            loaded = engine.load(self._status.phase)
            self._status.phase("warming")
            self._warm(engine)
        except BaseException:
            if isinstance(engine, ContinuousEngine):
                engine.close()
            raise
        return loaded

    def _spec(self) -> EngineSpec:
        settings, wanted = self._settings, self.wanted
        dtype = wanted.dtype or "auto"
        if settings.own_engine is None:
            self._status.phase("resolving")
            resolved = resolve(wanted.model, wanted.variant, wanted.source, self._status.phase)
            self._serves(resolved.choice.family, resolved.choice.variant, resolved.source)
            self.engine = self._choose(resolved.choice.family, dtype)
            spec = spec_of(resolved.choice, resolved.path)
            spec = replace(spec, kind=VLLM) if self.engine == VLLM else spec
        else:
            family, variant = custom(wanted.model, wanted.variant)
            self._serves(family, variant, settings.own_engine)
            self.engine = settings.own_engine
            options = settings.engine_options
            spec = EngineSpec(settings.own_engine, family.name, variant.name, options=options)
        return replace(
            spec,
            device=settings.device,
            dtype=dtype,
            max_batch=wanted.max_batch,
            shares=settings.shares,
        )

    def _choose(self, family: Family, dtype: str) -> str:
        settings = self._settings
        return choose_engine(settings.engine, family, dtype=dtype, device=settings.device)

    def _serves(self, family: Family, variant: Variant, source: str) -> None:
        self.family, self.variant, self.source = family, variant, source
        self._status.serves(family.name, variant.name)

    def _warm(self, engine: AnyEngine) -> None:
        """Caption one grey image, so that the first real one is quick and a broken engine shows."""
        assert self.family is not None, "the family is known before its engine"
        size = (self.family.image.size_px,) * 2
        generation = self.family.generation.model_copy(update={"max_new_tokens": 4})
        prompt = build_prompt(self.family)
        grey = Image.new("RGB", size, (128, 128, 128))
        item = EngineItem(grey, prompt, generation, self.family.tagging)
        outcome = _caption(engine, item)
        if isinstance(outcome, Failure):
            raise ModelError(f"The engine failed on a plain grey image: {outcome.message}")


def _caption(engine: AnyEngine, item: EngineItem) -> Outcome:
    """Caption one image from the device's thread, whichever form the engine has."""
    if isinstance(engine, ContinuousEngine):
        return anyio.from_thread.run(engine.caption, item)
    return engine.caption([item])[0]


def _failed(error: Exception) -> ModelError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DiskFull("The disk filled up while the model was loaded.")
    kind = type(error).__name__
    return ModelError(f"The engine failed to load ({kind}); the log says why.")


def _too_large(error: Exception) -> ModelError:
    said = str(error).rstrip(".") or "it has no memory for the model"
    return ModelError(
        f"The model does not run on this device: {said}.",
        hint="Use a smaller variant, 8bit or 4bit where the model has it, or another device.",
    )


def spec_of(choice: ModelChoice, path: Path) -> EngineSpec:
    """Return what the engine of this checkpoint is built from, on whatever device there is."""
    architecture = choice.family.architecture
    return EngineSpec(
        kind=architecture.engine,
        model=choice.family.name,
        variant=choice.variant.name,
        path=str(path),
        architecture=architecture,
        prompts=_probes(choice.family),
        system=choice.family.system,
        new_tokens=choice.family.generation.max_new_tokens or 512,
    )


def _probes(family: Family) -> tuple[str | None, ...]:
    """Return prompts on which an engine checks itself: the default one, and the longest."""
    default = build_prompt(family)
    longest = max((mode.prompt or "" for mode in family.modes), key=len) or None
    return (default,) if default == longest else (default, longest)


def _of(settings: Settings) -> ModelChange:
    return ModelChange(
        model=settings.model or default_family().name,
        variant=settings.variant,
        source=settings.source,
        dtype=settings.dtype,
        max_batch=settings.max_batch,
    )
