"""What a request may hold before it leaves, and what is not shown of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from captiv.rental.runpod.values import GpuRequest, Pod
from tests.rental.runpod.conftest import pod, wanted


@pytest.mark.parametrize(
    "values",
    [
        {"image": None},
        {"name": ""},
        {"name": "n" * 192},
        {"args": "a", "cmd": ("b",)},
        {"args": "a", "entrypoint": ("b",)},
        {"disk_gb": 0},
        {"gpu": {"id": ""}},
        {"gpu": {"id": "x", "count": 0}},
        {"gpu": {"id": "x", "min_cuda_version": "12"}},
        {"gpu": {"id": "x", "min_cuda_version": "12.8", "allowed_cuda_versions": ["12.8"]}},
        {"imageName": "v1"},
    ],
)
def test_what_runpod_would_refuse_is_refused_here(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        wanted(**values)


def test_exact_cuda_versions_are_sent_as_such() -> None:
    asked = wanted(gpu=GpuRequest(id="x", allowed_cuda_versions=("12.6", "12.8")))

    assert asked.body()["gpu"] == {
        "id": "x",
        "count": 1,
        "allowedCudaVersions": ["12.6", "12.8"],
    }


def test_the_environment_is_not_shown() -> None:
    hidden = {"A": "hidden"}

    assert "hidden" not in repr(wanted(env=hidden))
    assert "hidden" not in repr(Pod.model_validate(pod(env=hidden)))


@pytest.mark.parametrize(
    "said", ["2026-11-23T10:00:00", "2026-11-23T10:00:00Z", "2026-11-23T12:00:00+02:00"]
)
def test_times_are_aware_and_in_utc(said: str) -> None:
    read = Pod.model_validate(pod(createdAt=said))

    assert read.created_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert read.created_at.tzinfo is UTC


def test_a_pod_is_known_by_its_id_alone() -> None:
    read = Pod.model_validate({"id": "abc123", "gpu": None, "env": None})

    assert (read.id, read.gpu, read.env) == ("abc123", None, {})
