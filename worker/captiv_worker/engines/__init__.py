"""The engines: one module a way of driving a model. torch is imported here only, and late."""

from captiv.errors import ModelError
from captiv_worker.engines.custom import CustomEngine
from captiv_worker.engines.memory import release_memory
from captiv_worker.engines.prefix import PrefixEngine
from captiv_worker.engines.spec import (
    Answer,
    DeviceLost,
    Engine,
    EngineItem,
    EngineSpec,
    Failure,
    Loaded,
    Outcome,
    OutOfMemory,
    Progress,
)

__all__ = [
    "Answer",
    "DeviceLost",
    "Engine",
    "EngineItem",
    "EngineSpec",
    "Failure",
    "Loaded",
    "OutOfMemory",
    "Outcome",
    "Progress",
    "build_engine",
    "release_memory",
]


def build_engine(spec: EngineSpec) -> Engine:
    """Return the engine for this spec, without I/O."""
    if ":" in spec.kind:
        return CustomEngine(spec)
    if spec.kind == "prefix":
        return PrefixEngine(spec)
    raise ModelError(f"This worker has no engine {spec.kind!r}.", hint="Upgrade captiv.")
