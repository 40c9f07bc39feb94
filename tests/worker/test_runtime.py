"""How much of a machine an engine on its CPU takes."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from captiv_worker.engines.runtime import dtype_on, threads
from captiv_worker.settings import parse

from captiv.errors import ModelError


@pytest.mark.parametrize(
    ("cores", "shares", "each"),
    [(8, 1, 7), (8, 3, 2), (16, 4, 3), (2, 3, 1), (1, 1, 1)],
)
def test_engines_share_the_cores_and_leave_one(cores: int, shares: int, each: int) -> None:
    assert threads(cores, shares) == each


@dataclass
class Cuda:
    """A GPU of that compute capability."""

    capability: tuple[int, int]

    def get_device_capability(self, _device: str) -> tuple[int, int]:
        return self.capability


@pytest.mark.parametrize(
    ("capability", "overflows", "dtype"),
    [
        ((8, 0), False, "bfloat16"),
        ((8, 0), True, "bfloat16"),
        ((7, 5), False, "float16"),
        ((7, 5), True, "float32"),
    ],
)
def test_a_model_that_overflows_in_float16_is_never_run_in_it(
    capability: tuple[int, int], overflows: bool, dtype: str
) -> None:
    torch = SimpleNamespace(cuda=Cuda(capability))

    assert dtype_on(torch, "auto", "cuda:0", overflows=overflows) == dtype
    if overflows:
        with pytest.raises(ModelError, match="does not run in float16"):
            dtype_on(torch, "float16", "cuda:0", overflows=True)


def test_a_worker_is_told_how_many_share_the_machine() -> None:
    assert parse(["--shares", "3"], {"CAPTIV_WORKER_TOKEN": "t"}).shares == 3
    assert parse([], {"CAPTIV_WORKER_TOKEN": "t"}).shares == 1
