"""What the API answers: pods as JSON, problems, Cloudflare's page."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from captiv.testing.cloud.bill import rfc3339
from captiv.testing.cloud.catalog import CUDA_VERSIONS
from captiv.testing.cloud.pods import Pod, Status

NO_CAPACITY = (
    "There are no longer any instances available with the requested specifications. "
    "Please refresh and try again."
)
NO_BALANCE = "insufficient balance to create this pod"

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Refusal(Exception):
    """Ends a call with a problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers


def problem(refusal: Refusal) -> Response:
    """Answer as RFC 9457 has it."""
    body: dict[str, Any] = {
        "title": _TITLES.get(refusal.status, "Error"),
        "status": refusal.status,
        "detail": refusal.detail,
    }
    if refusal.errors:
        body["errors"] = refusal.errors
    return JSONResponse(
        body, refusal.status, refusal.headers, media_type="application/problem+json"
    )


def cloudflare(status: int, text: str) -> Response:
    """Answer as the edge before RunPod does."""
    page = f"<html><head><title>{status}</title></head><body><center>{text}</center></body></html>"
    return HTMLResponse(page, status, {"Server": "cloudflare", "CF-RAY": "8f0000000000-SIM"})


def pod_json(pod: Pod, now: float, status: Status | None = None) -> dict[str, Any]:
    """Return a pod as the contract has it, and the keys that came later.

    Args:
        pod: which one.
        now: for its uptime.
        status: what is said instead of the truth.
    """
    asked = pod.asked
    shown = status or pod.status
    billed = shown not in ("EXITED", "TERMINATED")
    found: dict[str, Any] = {
        "id": pod.id,
        "name": asked.name,
        "status": shown,
        "actions": pod.actions,
        "image": asked.image or "",
        "args": asked.args or "",
        "entrypoint": asked.entrypoint or [],
        "cmd": asked.cmd or [],
        "disk": asked.disk or 50,
        "mounts": asked.mounts.model_dump(exclude_none=True) if asked.mounts else {},
        "ports": pod.declared,
        "env": asked.env or {},
        "registry": asked.registry,
        "cloud": asked.cloud,
        "dataCenterId": pod.data_center,
        "cudaVersion": CUDA_VERSIONS[-1],
        "ssh": {"proxy": None, "direct": None},
        "template": None,
        "cost": float(pod.price) if billed else 0.0,
        "locked": pod.locked,
        "runtime": _runtime(pod, now),
        "createdAt": rfc3339(pod.created_at),
        "startedAt": None if pod.started_at is None else rfc3339(pod.started_at),
        "globalNetworking": {"enabled": False},
    }
    if asked.gpu is not None:
        count = asked.gpu.count
        found["gpu"] = {"id": asked.gpu.id, "count": count, "vcpuCount": 8 * count, "memory": 48}
    if asked.cpu is not None:
        found["cpu"] = {**asked.cpu.model_dump(), "memory": 4 * asked.cpu.vcpuCount}
    return found


def template_json(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template as the contract has it."""
    return {
        "id": name,
        "name": f"template {name}",
        "image": "",
        "args": "",
        "disk": 50,
        "mounts": {},
        "ports": [],
        "env": {},
        "registry": None,
        "serverless": False,
        "public": False,
        "category": "NVIDIA",
        "startSsh": False,
        "startJupyter": False,
        "allowedCudaVersions": [],
    } | dict(settings)


def volume_json(volume_id: str, data_center: str) -> dict[str, Any]:
    """Return a network volume as the contract has it."""
    return {
        "id": volume_id,
        "name": f"volume {volume_id}",
        "size": 100,
        "dataCenter": data_center,
        "type": "STANDARD",
    }


def _runtime(pod: Pod, now: float) -> dict[str, Any] | None:
    if pod.status != "RUNNING" or pod.container_since is None:
        return None
    # RunPod lists an entry of its own first, on a private address: nobody should take ports[0].
    ports: list[dict[str, Any]] = [
        {"ip": "100.65.14.155", "private": 19123, "public": 60821, "type": "http"}
    ]
    for number, protocol in (port.split("/") for port in pod.declared):
        if protocol == "tcp":
            mapped = {"private": int(number), "public": 40_000 + int(number) % 20_000}
            ports.append({**mapped, "type": "tcp", "ip": "127.0.0.1"})
    return {
        "uptime": max(0, int(now - pod.container_since)),
        "gpus": [{"util": 0, "memoryUtil": 0}],
        "cpu": {"util": 1},
        "memory": {"util": 1},
        "ports": ports,
    }
