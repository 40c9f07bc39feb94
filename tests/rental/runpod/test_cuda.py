import pytest

from captiv.rental.runpod.cuda import cuda_of


@pytest.mark.parametrize(
    ("image", "cuda"),
    [
        ("ghcr.io/example/captiv-worker:0.2.0-cu128", "12.8"),
        ("registry.example:5000/captiv-worker:0.2.0-cu130", "13.0"),
        ("example/captiv-worker:0.2.0-cu126@sha256:0123", "12.6"),
        ("runpod/pytorch:2.8.0-py3.11-cuda12.8.1-cudnn-devel-ubuntu22.04", "12.8"),
        ("runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404", "12.8"),
        ("example/worker:1.0", None),
        ("example/worker", None),
        ("registry.example:5000/worker-cu128", None),
        ("example/recu128:latest", None),
    ],
)
def test_a_tag_tells_which_cuda_its_host_must_have(image: str, cuda: str | None) -> None:
    assert cuda_of(image) == cuda
