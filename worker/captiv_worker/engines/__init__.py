"""The engines: one module a way of driving a model. torch is imported here only, and late."""

from importlib import import_module

from captiv.errors import ModelError
from captiv_worker.engines.custom import CustomEngine
from captiv_worker.engines.memory import release_memory
from captiv_worker.engines.spec import (
    Answer,
    AnyEngine,
    ContinuousEngine,
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
    "AnyEngine",
    "ContinuousEngine",
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


_ENGINES = {
    "blip": "prefix:BlipEngine",
    "chat": "chat:ChatEngine",
    "blip2": "prefix:Blip2Engine",
    "florence2": "task:Florence2Engine",
    "git": "prefix:GitEngine",
    "vllm": "vllm:VllmEngine",
    "kosmos2": "kosmos:Kosmos2Engine",
    "kosmos25": "kosmos:Kosmos25Engine",
    "tagger": "tagger:TaggerEngine",
    "vit-gpt2": "prefix:VitGpt2Engine",
}
"""What an architecture of the catalog names as its engine, and vLLM; the class that is meant."""


def build_engine(spec: EngineSpec) -> AnyEngine:
    """Return the engine for this spec, without I/O."""
    if ":" in spec.kind:
        return CustomEngine(spec)
    if spec.kind not in _ENGINES:
        raise ModelError(f"This worker has no engine {spec.kind!r}.", hint="Upgrade captiv.")
    module, _, name = _ENGINES[spec.kind].partition(":")
    engine: AnyEngine = getattr(import_module(f"{__name__}.{module}"), name)(spec)
    return engine
