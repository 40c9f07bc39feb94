"""RunPod's REST API v2: the only room that knows it."""

from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.exchange import Patience
from captiv.rental.runpod.values import (
    Action,
    Balance,
    BillingRecord,
    Cloud,
    CreatePod,
    GpuOffer,
    GpuRequest,
    GpuType,
    LogLine,
    LogSource,
    Pod,
    PodGpu,
    PodStatus,
    Port,
    Runtime,
    Stock,
    Template,
    Use,
)

__all__ = [
    "Action",
    "Balance",
    "BillingRecord",
    "Cloud",
    "CreatePod",
    "GpuOffer",
    "GpuRequest",
    "GpuType",
    "LogLine",
    "LogSource",
    "Patience",
    "Pod",
    "PodGpu",
    "PodStatus",
    "Port",
    "RunpodApi",
    "Runtime",
    "Stock",
    "Template",
    "Use",
]
