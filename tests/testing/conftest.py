"""A simulated cloud whose pods start in a blink, and somebody who calls its API."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from captiv.testing.cloud import Cloud, running
from tests.contract.contract import check_response
from tests.support import until

ANSWERING = (
    *("python", "-I", "-S", str(Path(__file__).with_name("answering.py"))),
    *("--host", "0.0.0.0", "--port", "8000"),
)
IMAGE = "captiv/worker:test"
A5000 = "NVIDIA RTX A5000"
QUICK: dict[str, Any] = {
    "entrypoint": ANSWERING,
    "provisioning_s": 0.0,
    "pulling_s": 0.0,
    "restart_s": 0.05,
    "stop_grace_s": 0.2,
}


class Account:
    """Somebody with the account's key, or another's."""

    def __init__(self, cloud: Cloud, key: str | None = None) -> None:
        self.cloud = cloud
        headers = {"Authorization": f"Bearer {key or cloud.account_key}"}
        headers["User-Agent"] = "captiv/test"
        self.api = httpx2.Client(base_url=cloud.api_url, headers=headers, timeout=60, verify=False)
        self.web = httpx2.Client(timeout=60, verify=False)

    def close(self) -> None:
        self.api.close()
        self.web.close()

    def create(self, **fields: Any) -> httpx2.Response:
        body: dict[str, Any] = {"name": "captiv-test", "image": IMAGE, "ports": ["8000/http"]}
        body |= {"cloud": "SECURE", "gpu": {"id": A5000, "count": 1}}
        return self.api.post("/v2/pods", json=body | fields)

    def pod(self, **fields: Any) -> str:
        """Create a pod and return its id."""
        answer = self.create(**fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def get(self, pod: str) -> dict[str, Any]:
        return dict(self.api.get(f"/v2/pods/{pod}").json())

    def listed(self) -> list[str]:
        return [pod["id"] for pod in self.api.get("/v2/pods").json()["pods"]]

    def act(self, pod: str, action: str) -> httpx2.Response:
        return self.api.post(f"/v2/pods/{pod}/action", json={"action": action})

    def reach(self, pod: str, path: str = "/", port: int = 8000) -> httpx2.Response:
        """Ask a pod through the proxy."""
        return self.web.get(self.cloud.url(pod, port) + path)

    def serving(self, **fields: Any) -> str:
        """Create a pod, wait until it answers through the proxy, and return its id."""
        pod = self.pod(**fields)
        self.until_serving(pod)
        return pod

    def until_serving(self, pod: str) -> None:
        until(lambda: self.reach(pod, "/health").status_code == 200, f"{pod} serving")


@contextmanager
def switched_on(**conditions: Any) -> Iterator[Account]:
    """Run a cloud of its own conditions; every answer that it gave was as the contract says."""
    with running(**{**QUICK, **conditions}) as cloud:
        account = Account(cloud)
        try:
            yield account
            check_answers(cloud)
        finally:
            account.close()


_NOT_USED = ("", "update_pod", "list_data_centers")
"""What captiv never calls; its own contract knows nothing of it."""


def check_answers(cloud: Cloud) -> None:
    for call in cloud.history:
        if call.status is not None and call.operation not in _NOT_USED:
            check_response(call.method, call.path, call.status, call.answer_headers, call.answer)


@pytest.fixture(scope="module")
def shared() -> Iterator[Account]:
    with switched_on() as account:
        yield account


@pytest.fixture
def account(shared: Account) -> Iterator[Account]:
    """The account of a cloud without a pod and without mischief."""
    yield shared
    cloud = shared.cloud
    cloud.mischief.disarm()
    for pod in cloud.pods_alive():
        shared.api.delete(f"/v2/pods/{pod}")
    assert cloud.pods_alive() == []
    check_answers(cloud)
    cloud.history.clear()


@pytest.fixture
def cloud(account: Account) -> Cloud:
    return account.cloud
