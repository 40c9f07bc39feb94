"""How a pod on RunPod ends itself."""

from typing import Any


def ending(api_url: str) -> list[dict[str, Any]]:
    """Return the calls that a pod's guard makes, in order (`CAPTIV_GUARD_ENDING`).

    RunPod puts id and key into the pod. The pod's own key is known to be good for
    `action: terminate`; what else it may do is not documented, so `DELETE` is tried besides.
    """
    pod = f"{api_url.rstrip('/')}/v2/pods/${{RUNPOD_POD_ID}}"
    headers = {"Authorization": "Bearer ${RUNPOD_API_KEY}"}
    return [
        {
            "method": "POST",
            "url": f"{pod}/action",
            "headers": headers,
            "body": '{"action":"terminate"}',
        },
        {"method": "DELETE", "url": pod, "headers": headers},
    ]
