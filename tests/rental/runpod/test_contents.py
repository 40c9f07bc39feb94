"""How RunPod is asked for a pod: image, start command, template."""

import json
from decimal import Decimal
from typing import Any

import pytest

from captiv import __version__
from captiv.core.fleet import Offer
from captiv.errors import ConfigurationError
from captiv.rental.provider import PodSpec
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.contents import Contents, Found
from captiv.rental.runpod.images import PYTORCH
from captiv.rental.runpod.values import NetworkVolume, Template
from captiv.settings.schema import RunpodSettings
from tests.contract.contract import check_request

OFFER = Offer("NVIDIA RTX A5000", "secure", 24.0, Decimal("0.26"), "high")
SENT = {"User-Agent": "captiv/1", "Authorization": "Bearer k", "Content-Type": "application/json"}
ARGUMENTS = ("--host", "0.0.0.0", "--port", "8000")


def contents(**settings: Any) -> Contents:
    return Contents.of(RunpodSettings.model_validate(settings))


def spec(**more: Any) -> PodSpec:
    given: dict[str, Any] = {
        "name": "captiv-runpod-0123456789ab-r1-t",
        "offer": OFFER,
        "arguments": ARGUMENTS,
        "env": {"CAPTIV_GUARD_DEADLINE": "1800000000"},
        "port": 8000,
    }
    return PodSpec(**given | more)


def test_a_worker_image_is_started_with_the_workers_arguments() -> None:
    request = contents(image="captiv/worker:1", container_disk_size=60).asked_for(spec())

    assert (request.image, request.disk_gb, request.entrypoint) == ("captiv/worker:1", 60, ())
    assert request.cmd == ARGUMENTS
    assert request.gpu.min_cuda_version is None
    assert request.ports == ("8000/http",)
    assert request.env == {"CAPTIV_GUARD_DEADLINE": "1800000000"}


def test_what_was_asked_for_with_the_pod_goes_before_the_settings() -> None:
    request = contents(image="captiv/worker:1", container_disk_size=60).asked_for(
        spec(image="mine:2", disk_gb=7)
    )

    assert (request.image, request.disk_gb) == ("mine:2", 7)


def test_the_disk_follows_the_model_unless_the_settings_have_one() -> None:
    large = spec(model_bytes=30_000_000_000)

    assert contents().asked_for(large).disk_gb == 41
    assert contents(container_disk_size=25).asked_for(large).disk_gb == 25
    assert contents(template_id="t1").asked_for(large).disk_gb is None


def test_an_image_that_names_its_cuda_gets_a_host_that_has_it() -> None:
    request = contents(image="captiv/worker:1-cu130").asked_for(spec())

    assert request.gpu.min_cuda_version == "13.0"


def test_with_nothing_to_run_it_is_said_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="nothing that a pod could run"):
        contents(bootstrap="image").asked_for(spec())


def test_with_nothing_but_a_key_captiv_brings_its_worker_into_a_public_image() -> None:
    request = contents().asked_for(spec())

    assert request.image == PYTORCH.name
    assert request.gpu.min_cuda_version == "12.8"
    assert request.entrypoint[:2] == ("sh", "-c")
    assert request.cmd == ARGUMENTS
    assert len(json.dumps(request.body())) < 40_000, "RunPod takes 102,400 bytes at most"


def test_an_image_that_is_named_wins_unless_it_is_said_that_captiv_brings_its_worker() -> None:
    named = contents(image="mine/torch:1").asked_for(spec())
    brought = contents(image="mine/torch:1", bootstrap="carry").asked_for(spec())
    asked_for = contents().asked_for(spec(image="mine/worker:2"))

    assert (named.image, named.entrypoint) == ("mine/torch:1", ())
    assert (brought.image, brought.entrypoint[:2]) == ("mine/torch:1", ("sh", "-c"))
    assert (asked_for.image, asked_for.entrypoint) == ("mine/worker:2", ())


@pytest.mark.parametrize(
    ("gpu", "runs"),
    [
        ("NVIDIA RTX A4000", True),
        ("NVIDIA GeForce RTX 5090", True),
        ("NVIDIA H100 80GB HBM3", True),
        ("NVIDIA B200", True),
        ("NVIDIA L40S", True),
        ("NVIDIA A40", True),
        ("Tesla T4", True),
        ("Tesla V100-SXM2-16GB", False),
        ("Tesla V100-FHHL-16GB", False),
        ("AMD Instinct MI300X OAM", False),
    ],
)
def test_a_gpu_that_the_public_image_cannot_run_on_is_told(gpu: str, runs: bool) -> None:
    assert (contents().against(gpu) == "") is runs
    assert contents(image="mine:1").against(gpu) == "", "nobody knows what an image of ones own has"


def test_runpods_image_installs_this_version_and_needs_a_driver_that_is_new_enough() -> None:
    request = contents(bootstrap="pip").asked_for(spec())

    assert request.image == PYTORCH.name
    assert request.gpu.min_cuda_version == "12.8"
    assert request.entrypoint[:2] == ("sh", "-c")
    compile(request.entrypoint[-1], "bootstrap", "exec")
    assert request.cmd == (f"captiv[local]=={__version__}", *ARGUMENTS)
    assert len(json.dumps(request.body())) < 40_000, "RunPod takes 102,400 bytes at most"


def test_a_package_is_installed_into_an_image_of_ones_own() -> None:
    request = contents(bootstrap="pip", image="mine/torch:1").asked_for(spec())

    assert request.image == "mine/torch:1"
    assert request.cmd[0].startswith("captiv[local]==")


def test_a_template_gives_image_environment_disk_and_ports() -> None:
    of = contents(template_id="t1", image="not/this:1", container_disk_size=60)
    template = Template(id="t1", args="--model blip", ports=("22/tcp", "8000/http"))

    plain = of.asked_for(spec())
    request = of.asked_for(spec(), Found(template))

    assert plain.body().keys() == {"name", "gpu", "templateId", "env", "ports", "cloud", "cmd"}
    assert request.ports == ("22/tcp", "8000/http")
    assert request.args is not None, "the template's own start command would stand beside ours"
    assert json.loads(request.args)["cmd"][:2] == ["--host", "0.0.0.0"]
    assert "entrypoint" not in json.loads(request.args)


VOLUME = NetworkVolume(id="v1", data_center="EU-RO-1")


def test_on_a_network_volume_models_stay_and_the_disk_need_not_hold_them() -> None:
    of = contents(network_volume="v1")
    request = of.asked_for(spec(model_bytes=30_000_000_000), Found(volume=VOLUME))
    body = request.body()

    assert body["mounts"] == {"network": [{"volumeId": "v1", "path": "/workspace"}]}
    assert body["dataCenterIds"] == ["EU-RO-1"]
    assert body["env"]["HF_HOME"] == "/workspace/huggingface"
    assert body["env"]["CAPTIV_GUARD_DEADLINE"] == "1800000000"
    assert body["disk"] == 20
    check_request("POST", "/v2/pods", (), SENT, body)


def test_a_private_image_is_pulled_with_the_accounts_credentials() -> None:
    of = contents(image="mine/worker:1", registry="hub")
    body = of.asked_for(spec(), Found(registry_id="reg1")).body()

    assert body["registry"] == "reg1"
    check_request("POST", "/v2/pods", (), SENT, body)


def test_without_volume_and_registry_nothing_is_said_of_them() -> None:
    body = contents().asked_for(spec()).body()

    assert not body.keys() & {"mounts", "registry", "dataCenterIds"}
    assert "HF_HOME" not in body["env"]


async def test_a_worker_image_is_not_rented_for_a_tagger() -> None:
    api = RunpodApi("rpa_KEY", url="http://127.0.0.1:9")
    named, chosen = contents(image="captiv/worker:1"), contents()

    for of, image in ((named, None), (chosen, "mine/worker:2")):
        with pytest.raises(ConfigurationError, match="no onnxruntime") as refused:
            await of.found(api, ("tagger",), image)
        assert "Leave --runpod out" in (refused.value.hint or "")

    assert await named.found(api, ("local",), None) == Found()
    assert await chosen.found(api, ("tagger",), None) == Found()
    await api.aclose()
