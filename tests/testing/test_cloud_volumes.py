"""Network volumes of the simulated cloud: in one data center, and there for the next pod."""

from collections.abc import Iterator

import pytest

from captiv.testing.cloud.image import volume_folder
from tests.support import until

from .conftest import A5000, Account, switched_on

HERE, ELSEWHERE = "EU-RO-1", "US-KS-2"
"""Of these two the first has an RTX A5000."""


def mounts(volume: str) -> dict[str, object]:
    return {"network": [{"volumeId": volume, "path": "/workspace"}]}


@pytest.fixture(scope="module")
def beside() -> Iterator[Account]:
    volumes = {"here": HERE, "elsewhere": ELSEWHERE}
    with switched_on(volumes=volumes, registries={"r1": "hub"}) as account:
        yield account


def test_volumes_and_credentials_are_told_as_the_contract_says(beside: Account) -> None:
    one = beside.api.get("/v2/network-volumes/here").json()

    assert (one["id"], one["dataCenter"]) == ("here", HERE)
    assert beside.api.get("/v2/network-volumes/gone").status_code == 404
    assert beside.api.get("/v2/registries").json() == {"registries": [{"id": "r1", "name": "hub"}]}


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"mounts": mounts("elsewhere")}, 400, "no longer any instances"),
        ({"mounts": mounts("here"), "dataCenterIds": ["CA-MTL-3"]}, 400, "no longer any instances"),
        ({"mounts": mounts("here"), "cloud": "COMMUNITY"}, 400, "no longer any instances"),
        ({"mounts": mounts("gone")}, 404, "network volume not found"),
        (
            {"mounts": mounts("here") | {"persistent": {"size": 10, "path": "/v"}}},
            400,
            "exclude each other",
        ),
        ({"mounts": {"network": [{"volumeId": "here"}]}}, 422, ""),
        ({"registry": "r2"}, 404, "registry not found"),
    ],
)
def test_a_pod_that_cannot_have_its_volume_or_image_is_refused(
    beside: Account, fields: dict[str, object], status: int, words: str
) -> None:
    refused = beside.create(**fields)

    assert (refused.status_code, words in refused.text) == (status, True), refused.text
    assert beside.cloud.pods_alive() == []


def test_a_pod_is_placed_beside_its_volume_and_finds_it_at_its_path(beside: Account) -> None:
    env = {"HF_HOME": "/workspace/huggingface", "OTHER": "/my/workspace", "ALIKE": "/workspaces"}
    pod = beside.serving(mounts=mounts("here"), env=env)
    seen = dict(line.partition("=")[::2] for line in beside.reach(pod, "/env").text.splitlines())
    told = beside.get(pod)
    beside.act(pod, "terminate")

    folder = volume_folder(beside.cloud.pod(pod).disk, "here")
    assert (told["dataCenterId"], told["mounts"]) == (HERE, mounts("here"))
    assert told["env"] == env
    assert seen["HF_HOME"] == f"{folder}/huggingface"
    assert (seen["OTHER"], seen["ALIKE"]) == ("/my/workspace", "/workspaces")


def test_a_volume_outlives_its_pod_and_the_disk_does_not(beside: Account) -> None:
    first = beside.serving(mounts=mounts("here"))
    disk = beside.cloud.pod(first).disk
    folder = volume_folder(disk, "here")
    (folder / "kept").write_text("weights")
    beside.act(first, "terminate")
    until(lambda: not disk.exists(), "the disk is gone")
    second = beside.serving(mounts=mounts("here"))
    beside.act(second, "terminate")

    assert (folder / "kept").read_text() == "weights"


def test_without_credit_a_pod_with_a_volume_is_stopped_and_another_one_ends() -> None:
    with switched_on(volumes={"here": HERE}, without_credit="terminate") as account:
        kept, gone = account.serving(mounts=mounts("here")), account.serving()
        account.cloud.mischief.arm("credit_gone", pod=kept, after=0)
        until(lambda: account.cloud.pod(gone).terminated, "the end of the pod without a volume")

        assert account.get(kept)["status"] == "EXITED"
        assert account.get(kept)["gpu"]["id"] == A5000


def test_an_image_that_is_private_is_pulled_with_credentials(beside: Account) -> None:
    beside.cloud.mischief.arm("image_private", times=None)
    refused, pulled = beside.pod(), beside.serving(registry="r1")
    log = beside.cloud.pod(refused).log
    until(lambda: any("pull access denied" in line for line in log.texts("system")))
    beside.cloud.mischief.disarm()
    for pod in (refused, pulled):
        beside.act(pod, "terminate")
