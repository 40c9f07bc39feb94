"""How RunPod is asked for a pod: image, start command, template."""

import json
from decimal import Decimal
from typing import Any

import pytest

from captiv import __version__
from captiv.core.fleet import Offer
from captiv.errors import ConfigurationError
from captiv.rental.provider import PodSpec
from captiv.rental.runpod.contents import BOOTSTRAP_IMAGE, Contents
from captiv.rental.runpod.values import Template
from captiv.settings.schema import RunpodSettings

OFFER = Offer("NVIDIA RTX A5000", "secure", 24.0, Decimal("0.26"), "high")
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
    request = contents(image="captiv/worker:1", container_disk_size=60).asked_for(spec(), None)

    assert (request.image, request.disk_gb, request.entrypoint) == ("captiv/worker:1", 60, ())
    assert request.cmd == ARGUMENTS
    assert request.gpu.min_cuda_version is None
    assert request.ports == ("8000/http",)
    assert request.env == {"CAPTIV_GUARD_DEADLINE": "1800000000"}


def test_what_was_asked_for_with_the_pod_goes_before_the_settings() -> None:
    request = contents(image="captiv/worker:1", container_disk_size=60).asked_for(
        spec(image="mine:2", disk_gb=7), None
    )

    assert (request.image, request.disk_gb) == ("mine:2", 7)


def test_an_image_that_names_its_cuda_gets_a_host_that_has_it() -> None:
    request = contents(image="captiv/worker:1-cu130").asked_for(spec(), None)

    assert request.gpu.min_cuda_version == "13.0"


def test_with_nothing_to_run_it_is_said_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="nothing that a pod could run"):
        contents().requirement(("local",), None)


def test_runpods_image_installs_this_version_and_needs_a_driver_that_is_new_enough() -> None:
    request = contents(bootstrap="pip").asked_for(spec(), None)

    assert request.image == BOOTSTRAP_IMAGE
    assert request.gpu.min_cuda_version == "12.8"
    assert request.entrypoint[:3] == ("python", "-I", "-c")
    compile(request.entrypoint[2], "bootstrap", "exec")
    assert request.cmd == (f"captiv[local]=={__version__}", *ARGUMENTS)
    assert len(json.dumps(request.body())) < 20_000, "RunPod takes 102,400 bytes at most"


def test_a_package_is_installed_into_an_image_of_ones_own() -> None:
    request = contents(bootstrap="pip", image="mine/torch:1").asked_for(spec(), None)

    assert request.image == "mine/torch:1"
    assert request.cmd[0].startswith("captiv[local]==")


def test_a_template_gives_image_environment_disk_and_ports() -> None:
    of = contents(template_id="t1", image="not/this:1", container_disk_size=60)
    template = Template(id="t1", args="--model blip", ports=("22/tcp", "8000/http"))

    plain = of.asked_for(spec(), None)
    request = of.asked_for(spec(), template)

    assert plain.body().keys() == {"name", "gpu", "templateId", "env", "ports", "cloud", "cmd"}
    assert request.ports == ("22/tcp", "8000/http")
    assert request.args is not None, "the template's own start command would stand beside ours"
    assert json.loads(request.args)["cmd"][:2] == ["--host", "0.0.0.0"]
    assert "entrypoint" not in json.loads(request.args)
