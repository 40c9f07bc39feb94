"""What vLLM prints, in the worker's words."""

import pytest
from captiv_worker.engines import OutOfMemory
from captiv_worker.engines.startup import Startup, ended

from captiv.errors import HostUnfit, ModelError


def test_phases_device_and_precision_are_read_from_its_lines() -> None:
    startup = Startup()
    phases = []
    for line in (
        "INFO config: model='/m', dtype=torch.bfloat16, max_seq_len=2048, device_config=cuda",
        "INFO Starting to load model /m...",
        "INFO Capturing CUDA graph shapes: 100%",
        "INFO Application startup complete.",
    ):
        startup.see(line)
        phases.append(startup.phase)

    assert phases == ["", "reading", "compiling", "starting"]
    assert (startup.device, startup.dtype) == ("cuda", "bfloat16")


@pytest.mark.parametrize(
    ("lines", "kind", "says"),
    [
        (
            [
                "ERROR [core.py:708] ValueError: The tokenizer has no pad token.",
                "RuntimeError: Engine core initialization failed. See root cause above.",
                "",
            ],
            ModelError,
            "exit code 1): ValueError: The tokenizer has no pad token.",
        ),
        (["RuntimeError: Engine core initialization failed."], ModelError, "initialization failed"),
        (["Segmentation fault"], ModelError, "Segmentation fault"),
        ([], ModelError, "it said nothing"),
        (["RuntimeError: Failed to infer device type"], HostUnfit, "does not run on this machine"),
        (
            ["ValueError: Free memory on device (3/24 GiB) on startup is less than desired"],
            OutOfMemory,
            "Free memory on device",
        ),
    ],
)
def test_an_end_is_told_by_its_cause(lines: list[str], kind: type[Exception], says: str) -> None:
    error = ended(lines, 1)

    assert isinstance(error, kind)
    assert says in str(error)
