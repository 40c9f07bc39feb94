"""The calls by which a pod at RunPod ends itself.

RunPod puts the pod's id and a key of its own into the environment. That key is known to be good for
`action: terminate`; what else it may do is not documented, so `DELETE` is tried besides.
"""

import json

from captiv.rental.provider import EndingCall


def ending(api_url: str) -> tuple[EndingCall, ...]:
    """Return the calls, first to last."""
    url = f"{api_url.rstrip('/')}/v2/pods/${{RUNPOD_POD_ID}}"
    key = {"Authorization": "Bearer ${RUNPOD_API_KEY}"}
    action = json.dumps({"action": "terminate"}, separators=(",", ":"))
    return (
        EndingCall("POST", f"{url}/action", key, action),
        EndingCall("DELETE", url, key),
    )
