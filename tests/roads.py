"""How captiv comes into a pod of the simulated cloud: with its image, or by pip at its start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BARE_IMAGE = "runpod/pytorch:1.0.2-cu1281"


@dataclass(frozen=True, slots=True)
class Road:
    """One such way."""

    settings: Mapping[str, str]
    """The variables that let captiv take it."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What the images of the cloud set (`Conditions.env`)."""


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
