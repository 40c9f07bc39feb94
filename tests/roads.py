"""How captiv comes into a pod of the simulated cloud: it is carried, in the image, or by pip."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from captiv.testing.cloud import running
from captiv.testing.cloud.bare import ENGINE
from tests.support import SCRIPTED, Home

BARE_IMAGE = "runpod/pytorch:1.0.2-cu1281"


@dataclass(frozen=True, slots=True)
class Road:
    """One such way."""

    settings: Mapping[str, str]
    """The variables that let captiv take it."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What the images of the cloud set (`Conditions.env`)."""
    layers: str = ""
    """Where the layers of images lie (`Conditions.layers`)."""
    engine: str = SCRIPTED
    """The torch-free engine, as a worker on this road finds it."""


def carried(wheels: Path, shared: Path | None = None) -> Road:
    """Return the road on which captiv brings its worker; what that needs is in a folder.

    `shared` is where all pods have their environments and images, so that one is made for all.
    """
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    if shared is None:
        return Road(settings={}, env=offline, engine=ENGINE)
    folder = {"CAPTIV_CARRY_FOLDER": str(shared / "pods")}
    return Road({}, offline | folder, str(shared / "layers"), ENGINE)


def made_once(road: Road, home: Home) -> None:
    """Have a pod make what all pods of this road share."""
    with running(worker_args=("--engine", road.engine), env=road.env, layers=road.layers) as cloud:
        home.env |= {**cloud.environment, "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "400"}
        made = home.run("runpod", "create", "--model", "shapes", timeout=500)
        assert made.code == 0, made


IN_THE_IMAGE = Road({"CAPTIV_RUNPOD_IMAGE": "captiv/worker:test"})


def by_pip(wheel: Path, *, image: str = BARE_IMAGE, package: str = "captiv[local]") -> Road:
    """Return the road of an image without captiv: pip installs the wheel, without any network."""
    return Road(
        settings={
            "CAPTIV_RUNPOD_BOOTSTRAP": "pip",
            "CAPTIV_RUNPOD_IMAGE": image,
            "CAPTIV_RUNPOD_PACKAGE": package,
        },
        env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)},
    )
