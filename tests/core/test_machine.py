"""What speaks plainly against a model on this machine."""

from dataclasses import replace

import pytest

from captiv.catalog import Variant
from captiv.core.machine import Machine, incapable, no_engine

LARGE = Variant(
    "large", "owner/large", download_bytes=17_000_000_000, vram_gb={"bfloat16": 17.5, "int8": 10.0}
)
BOTH = Variant("both", "owner/both", vram_gb={"float32": 8.0, "float16": 4.2})
BUILT_IN = Variant("toy", "builtin:toy", download_bytes=10**12, vram_gb={"float32": 0.1})
ROOMY = Machine(torch=True, ram_gb=64.0, vram_gb=48.0, free_gb=500.0)
UNKNOWN = Machine(torch=True)


def said(
    machine: Machine, variant: Variant | None = LARGE, dtype: str = "auto", device: str = "auto"
) -> str | None:
    return incapable(machine, variant, model="joy", dtype=dtype, device=device)


def test_nothing_speaks_against_a_machine_with_room_for_it() -> None:
    assert said(ROOMY) is None


def test_what_is_unknown_speaks_against_nothing() -> None:
    assert said(UNKNOWN) is None


def test_without_torch_nothing_runs_and_what_to_install_is_said() -> None:
    assert said(Machine(torch=False), None) == (
        "torch is not installed here: pip install 'captiv[local]'."
    )


def test_of_an_unknown_model_only_torch_is_asked_for() -> None:
    assert said(replace(ROOMY, ram_gb=0.1, vram_gb=0.1, free_gb=0.1), None) is None


def test_a_gpu_that_is_too_small_is_named_with_both_figures() -> None:
    assert said(replace(ROOMY, vram_gb=16.0)) == (
        "joy needs 17.5 GB, and the GPU of this machine has 16.0 GB."
    )


@pytest.mark.parametrize(
    ("variant", "ram", "dtype", "device", "needs"),
    [
        (LARGE, 34.9, "auto", "auto", "35 GB in float32"),
        (LARGE, 17.4, "bfloat16", "auto", "17.5 GB in bfloat16"),
        (LARGE, 17.4, "float16", "cpu", "17.5 GB in float16"),
        (LARGE, 9.9, "int8", "cpu", "10 GB in int8"),
        (BOTH, 7.9, "auto", "cpu", "8 GB in float32"),
    ],
)
def test_without_a_gpu_the_memory_counts(
    variant: Variant, ram: float, dtype: str, device: str, needs: str
) -> None:
    machine = replace(ROOMY, vram_gb=None, ram_gb=ram)

    assert said(machine, variant, dtype, device) == (
        f"joy needs {needs}, and the memory of this machine has {ram:.1f} GB."
    )
    assert said(replace(machine, ram_gb=ram + 0.1), variant, dtype, device) is None


def test_on_the_cpu_by_request_the_gpu_does_not_count() -> None:
    assert said(replace(ROOMY, vram_gb=1.0), device="cpu") is None
    assert said(replace(ROOMY, vram_gb=1.0), device="cuda:1") is not None
    assert said(replace(ROOMY, vram_gb=None), device="cuda") is None, "torch may see what we do not"


def test_a_precision_that_the_catalog_does_not_know_is_tried() -> None:
    assert said(replace(ROOMY, vram_gb=0.1), BOTH, dtype="int4") is None


def test_a_disk_without_room_for_the_download_is_said() -> None:
    small = replace(ROOMY, free_gb=5.0)

    assert said(small) == (
        "joy is a download of 17.0 GB, and 5.0 GB are free where models are kept: "
        "HF_HOME says where."
    )
    assert said(replace(small, cached=True)) is None
    assert said(small, BUILT_IN) is None


@pytest.mark.parametrize(
    ("device", "gpus", "words"),
    [
        ("cuda", 0, "has no GPU for --device cuda"),
        ("cuda:1", 0, "has no GPU for --device cuda:1"),
        ("cuda:2", 2, "has no GPU cuda:2. It has cuda:0, cuda:1."),
        ("cuda:1", 2, None),
        ("cuda", 1, None),
        ("cuda:7", None, None),
        ("cpu", 0, None),
        ("auto", 0, None),
    ],
)
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(
    device: str, gpus: int | None, words: str | None
) -> None:
    reason = said(replace(ROOMY, gpus=gpus), BOTH, device=device)

    assert reason is None if words is None else words in (reason or "")


def test_apples_gpu_is_apples() -> None:
    assert "Apple" in (said(replace(ROOMY, has_mps=False), BOTH, device="mps") or "")
    assert said(replace(ROOMY, has_mps=True), BOTH, device="mps") is None


def test_what_is_there_of_a_download_need_not_fit_again() -> None:
    assert "download of 12.0 GB" in (said(replace(ROOMY, free_gb=10.0, held_gb=5.0)) or "")
    assert said(replace(ROOMY, free_gb=10.0, held_gb=8.0)) is None


def test_a_tagger_needs_onnxruntime_and_no_torch() -> None:
    bare, tagging = Machine(torch=True), Machine(torch=False, onnxruntime=True)

    assert no_engine(tagging, "auto", by_vllm=False, tags=True) is None
    assert no_engine(bare, "auto", by_vllm=False, tags=True) == (
        "onnxruntime is not installed here: pip install 'captiv[tagger]'."
    )
    assert incapable(bare, None, model="wd", dtype="auto", device="auto", tags=True) is not None
