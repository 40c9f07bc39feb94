"""How the simulated cloud behaves when nothing goes wrong: times, prices, limits, what pods run."""

import random
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

GUARDED = ("python", "-m", "captiv_worker.guard", "--host", "0.0.0.0", "--port", "8000")
"""The entrypoint of captiv's worker image."""

RUNPOD_QUOTA = 60
"""Calls a minute in the examples of RunPod's contract. More was seen; no less."""


def _key() -> str:
    return f"rpa_{secrets.token_hex(20).upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What may be set when a cloud is started."""

    account_key: str = field(default_factory=_key)
    balance: Decimal = Decimal(100)
    """Dollars at the start; a pod needs an hour's worth to be created."""
    provisioning_s: float = 0.02
    pulling_s: float = 0.05
    restart_s: float = 0.3
    """How long a container that exited is down before the host starts it again."""
    stop_grace_s: float = 1.0
    """Between SIGTERM and SIGKILL when a pod is stopped or restarted; terminate does not wait."""
    running_at_once: bool = True
    """Status RUNNING from creation, with `runtime` null, as RunPod was seen to answer; otherwise
    PROVISIONING, STARTING and RUNNING as its contract says."""
    shows_terminated: bool = False
    """GET of a terminated pod answers TERMINATED, not 404; which RunPod does is not known."""
    exec_form: bool = True
    """Create takes `entrypoint`, `cmd` and `gpu.min…`, as it did soon after the published contract;
    otherwise they are unknown fields."""
    page_size: int | None = None
    billing_lag_s: float = 300.0
    """How late the records of `/v2/billing/pods` are: RunPod documents that it bills every five
    minutes; the balance knows at once."""
    quota_per_minute: int | None = None
    """Calls a minute, then 429, as `RUNPOD_QUOTA`; None counts and never refuses."""
    delete_lag_s: float = 0.0
    """How long a pod whose end was accepted is still RUNNING in every answer, and its worker still
    at work. It bills until its end was accepted: RunPod documents a bill by the second "until you
    stop or terminate" the pod, and not how long that takes."""
    ended_listed_s: float = 0.0
    """How long the list shows a pod as RUNNING that is gone for whoever asks for it alone."""
    without_credit: Literal["stop", "terminate"] = "stop"
    """What becomes of running pods when the account has no credit left: RunPod documents that they
    are terminated, and that those with a network volume are stopped, as they are here always."""
    wipes_on_restart: bool = False
    """A container that exited begins again on an empty disk."""
    denied: frozenset[str] = frozenset()
    """What the account's key may not do, by the operation's name, such as `create_pod`."""
    pod_clock_ahead_s: float = 0.0
    """By how much a pod's clock is ahead of this machine's, for whatever in a pod reads
    `captiv.clock`."""
    proxy_limit_s: float = 100.0
    """How long the proxy waits for a pod to answer, or to go on answering, before its 524."""
    rtt_s: float = 0.0
    """Round trip of every request, to API and proxy."""
    late_share: float = 0.0
    """The share of ways, of two a request, that take one to three seconds more."""
    up_mbit: float | None = None
    down_mbit: float | None = None
    entrypoint: tuple[str, ...] = GUARDED
    worker_args: tuple[str, ...] = ()
    """More arguments of the worker image's entrypoint, as if built into the image."""
    python: str = sys.executable
    """Its folder comes first on a pod's PATH."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What every image sets."""
    layers: str = ""
    """A folder of images' layers, which several clouds may share; empty for one of its own."""
    templates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of create by template id; `serverless` makes one that is not for pods."""
    volumes: Mapping[str, str] = field(default_factory=dict)
    """The data center of each network volume, by its id."""
    registries: Mapping[str, str] = field(default_factory=dict)
    """The name of each registry's credentials, by their id."""
    seed: int = 0


def drawn(seed: int) -> dict[str, Any]:
    """Return conditions as RunPod may have them, the same for the same seed."""
    chance = random.Random(f"conditions {seed}")
    return {
        "quota_per_minute": RUNPOD_QUOTA,
        "rtt_s": chance.uniform(0.0, 0.3),
        "late_share": chance.choice((0.0, 0.01, 0.03)),
        "provisioning_s": chance.uniform(0.02, 1.0),
        "pulling_s": chance.uniform(0.05, 4.0),
        "delete_lag_s": chance.choice((0.0, chance.uniform(0.5, 6.0))),
        "ended_listed_s": chance.choice((0.0, chance.uniform(0.5, 10.0))),
        "running_at_once": chance.random() < 0.7,
        "shows_terminated": chance.random() < 0.3,
        "exec_form": chance.random() < 0.7,
        "page_size": chance.choice((None, None, 20)),
        "without_credit": chance.choice(("stop", "terminate")),
        "wipes_on_restart": chance.random() < 0.5,
        "pod_clock_ahead_s": chance.choice((0.0, 0.0, 90.0, -90.0, 86_400.0, -86_400.0)),
        "seed": seed,
    }
