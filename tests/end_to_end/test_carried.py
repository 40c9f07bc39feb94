"""Nothing but a key: captiv brings its worker into a public image, and no image is set."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from captiv.testing.cloud import Cloud, Pod, running
from captiv.testing.cloud.bare import ENGINE
from tests.roads import carried
from tests.support import Home

from .test_rented import cost_is_the_bill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.allow_blocking]


@contextmanager
def clouded(
    home: Home, wheels: Path, shared: Path | None, *, real: bool = False, **conditions: Any
) -> Iterator[Cloud]:
    """Point an installation at a cloud that knows no image of captiv's."""
    road = carried(wheels, shared)
    scripted = ("--engine", ENGINE, "--engine-options", json.dumps(conditions.pop("engine", {})))
    with running(
        worker_args=() if real else scripted, env=road.env, layers=road.layers, **conditions
    ) as cloud:
        home.env |= {**cloud.environment, "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "200"}
        yield cloud


def log_of(pod: Pod) -> str:
    return "\n".join(pod.log.texts("container"))


def test_with_nothing_but_a_key_the_real_model_reads_the_scenes(
    home: Home, worker_wheels: Path
) -> None:
    truth = home.scenes(40)
    with clouded(home, worker_wheels, None, real=True) as cloud:
        ended = home.generate("--runpod", "--fallback", "fail", timeout=380)
        ended_s, alive = time.time(), cloud.pods_alive()
        (pod,) = cloud.pods()

    captions = home.captions()
    right = sum(captions[str(home.sidecar(name))] == text for name, text in truth.items())
    assert ended.code == 0, (ended, log_of(pod))
    assert right / len(truth) >= 0.95
    assert alive == []
    cost_is_the_bill(home, cloud, ended_s)
    assert pod.asked.image == "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404"
    assert "bootstrap waiting" in log_of(pod)
