"""How a pod is asked for: what is in it, what starts it, and what its guard is told."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from captiv import __version__
from captiv.core.fleet import Offer
from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.spec import Captioning, Placement, RunSpec, Selection
from captiv.errors import ConfigurationError
from captiv.rental.podspec import BOOTSTRAP_IMAGE, Terms, create_request, requirement_of, terms_of
from captiv.rental.runpod import CreatePod, Template
from captiv.settings import Settings

OFFER = Offer("NVIDIA RTX A5000", "secure", 24.0, Decimal("0.26"), "high")


def terms(**runpod: Any) -> Terms:
    spec = RunSpec(
        selection=Selection(roots=("/pictures",)),
        captioning=Captioning(model="shapes", variant="shapes", source="builtin"),
        placement=Placement(kind="rented", provider="runpod"),
    )
    run = Run(RunId(1), RunState.ACTIVE, spec, "", 0, True, 0, None, Counts())
    return terms_of(run, Settings.model_validate({"runpod": runpod}), "0123456789ab")


def asked(of: Terms) -> CreatePod:
    return create_request(of, OFFER, "captiv-0123456789ab-r1-t", "5" * 64, 1_800_000_000)


def test_a_worker_image_is_told_what_to_load() -> None:
    request = asked(terms(image="captiv/worker:1", container_disk_size=60))

    assert (request.image, request.disk_gb, request.entrypoint) == ("captiv/worker:1", 60, ())
    assert request.cmd[:4] == ("--host", "0.0.0.0", "--port", "8000")
    assert request.gpu.min_cuda_version is None
    assert request.ports == ("8000/http",)
    assert request.env["CAPTIV_GUARD_DEADLINE"] == "1800000000"


def test_an_image_that_names_its_cuda_gets_a_host_that_has_it() -> None:
    assert asked(terms(image="captiv/worker:1-cu130")).gpu.min_cuda_version == "13.0"


def test_with_nothing_to_run_no_terms_are_had() -> None:
    with pytest.raises(ConfigurationError, match="nothing that a pod could run"):
        terms()


def test_runpods_image_installs_this_version_and_needs_a_driver_that_is_new_enough() -> None:
    request = asked(terms(bootstrap="pip"))

    assert request.image == BOOTSTRAP_IMAGE
    assert request.gpu.min_cuda_version == "12.8"
    assert request.entrypoint[:2] == ("python", "-c")
    compile(request.entrypoint[2], "bootstrap", "exec")
    assert request.cmd[:3] == (f"captiv[local]=={__version__}", "--host", "0.0.0.0")
    assert len(json.dumps(request.body())) < 20_000, "RunPod takes 102,400 bytes at most"


@pytest.mark.parametrize(
    ("package", "asked_for"),
    [
        (None, f"captiv[local]=={__version__}"),
        ("https://example.org/c.whl", "captiv[local] @ https://example.org/c.whl"),
        ("git+https://example.org/c.git", "captiv[local] @ git+https://example.org/c.git"),
        ("/opt/captiv-1-py3-none-any.whl", "/opt/captiv-1-py3-none-any.whl[local]"),
        ("captiv[local]==0.9", "captiv[local]==0.9"),
        ("captiv[local] @ https://example.org/c.whl", "captiv[local] @ https://example.org/c.whl"),
    ],
)
def test_a_package_is_installed_with_what_captioning_needs(
    package: str | None, asked_for: str
) -> None:
    assert requirement_of(package) == asked_for


def test_weights_in_8_bit_need_a_package_more() -> None:
    assert requirement_of(None, "local,quant") == f"captiv[local,quant]=={__version__}"
    assert requirement_of("/opt/c.whl", "local,quant") == "/opt/c.whl[local,quant]"


def test_a_package_is_installed_into_an_image_of_ones_own() -> None:
    request = asked(terms(bootstrap="pip", image="mine/torch:1"))

    assert request.image == "mine/torch:1"
    assert request.cmd[0].startswith("captiv[local]==")


def test_a_template_gives_image_environment_disk_and_ports() -> None:
    of = terms(template_id="t1", image="not/this:1", container_disk_size=60)
    template = Template(id="t1", args="--model blip", ports=("22/tcp", "8000/http"))

    plain = asked(of)
    request = asked(replace(of, template=template))

    assert plain.body().keys() == {"name", "gpu", "templateId", "env", "ports", "cloud", "cmd"}
    assert request.ports == ("22/tcp", "8000/http")
    assert request.args is not None, "the template's own start command would stand beside ours"
    assert json.loads(request.args)["cmd"][:2] == ["--host", "0.0.0.0"]
    assert "entrypoint" not in json.loads(request.args)
