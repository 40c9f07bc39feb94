"""The calls by which a pod at RunPod ends itself.

RunPod puts the pod's id and a key of its own into the environment. That key is known to be good for
`action: terminate`; what else it may do is not documented, so `DELETE` is tried besides. Where both
are refused, the pod is stopped: its disk bills on, its GPU, which costs most, does not.
"""

import json

from captiv.rental.provider import EndingCall


def ending(api_url: str) -> tuple[EndingCall, ...]:
    """Return the calls, first to last."""
    url = f"{api_url.rstrip('/')}/v2/pods/${{RUNPOD_POD_ID}}"
    key = {"Authorization": "Bearer ${RUNPOD_API_KEY}"}
    return (
        EndingCall("POST", f"{url}/action", key, _action("terminate")),
        EndingCall("DELETE", url, key),
        EndingCall("POST", f"{url}/action", key, _action("stop"), last_resort=True),
    )


def _action(name: str) -> str:
    return json.dumps({"action": name}, separators=(",", ":"))
