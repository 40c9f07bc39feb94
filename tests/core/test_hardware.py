"""How fast a GPU captions, by its data sheet: near what is known, and never the wrong way round."""

import pytest

from captiv.core.hardware import GPUS, Gpu, Load, gpu_of, images_per_s

EIGHT_BILLION = Load(gb=17.5, gb_16_bit=17.5)
CONTINUOUS = Load(gb=17.5, gb_16_bit=17.5, engine="vllm")


def per_s(name: str, vram_gb: float, load: Load = EIGHT_BILLION) -> float:
    gpu = gpu_of(name)
    assert gpu is not None
    found = images_per_s(gpu, vram_gb, load)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "vram_gb", "known"),
    [
        ("NVIDIA RTX A5000", 24, 1.3),
        ("NVIDIA GeForce RTX 4090", 24, 1.6),
        ("NVIDIA A100-SXM4-80GB", 80, 5.2),
        ("NVIDIA H100 80GB HBM3", 80, 7.5),
    ],
)
def test_eight_billion_parameters_go_as_fast_as_was_calculated(
    name: str, vram_gb: float, known: float
) -> None:
    assert per_s(name, vram_gb) == pytest.approx(known, rel=0.15)


@pytest.mark.parametrize(
    ("name", "vram_gb", "known"),
    [
        ("NVIDIA RTX A5000", 24, 2.0),
        ("NVIDIA GeForce RTX 4090", 24, 2.7),
        ("NVIDIA A100-SXM4-80GB", 80, 8.6),
        ("NVIDIA H100 80GB HBM3", 80, 21.9),
    ],
)
def test_vllm_computes_no_row_that_has_ended(name: str, vram_gb: float, known: float) -> None:
    assert per_s(name, vram_gb, CONTINUOUS) == pytest.approx(known, rel=0.03)
    assert per_s(name, vram_gb, CONTINUOUS) > 1.3 * per_s(name, vram_gb)


def test_on_a_large_gpu_vllm_is_about_three_times_as_fast() -> None:
    h100 = "NVIDIA H100 80GB HBM3"

    assert 2.5 < per_s(h100, 80, CONTINUOUS) / per_s(h100, 80) < 3.5


def test_a_small_model_is_bound_by_what_each_step_takes_besides() -> None:
    small = Load(gb=1, gb_16_bit=1, engine="vllm")

    assert per_s("NVIDIA H200", 141, small) < 128 / 200 / 0.01


def test_batches_of_eight_on_a_4090_are_within_a_factor_of_two_of_what_was_measured() -> None:
    eight = Load(gb=17.5, gb_16_bit=17.5, batch=8)

    assert 0.5 < per_s("NVIDIA GeForce RTX 4090", 24, eight) / 1.0 < 2


def test_a_dear_gpu_with_room_can_be_cheaper_an_image_than_a_small_one() -> None:
    a4500, rtx_4090 = per_s("NVIDIA RTX A4500", 20), per_s("NVIDIA GeForce RTX 4090", 24)

    assert 0.34 / rtx_4090 < 0.19 / a4500


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA GeForce RTX 3080 Ti", "RTX 3080 Ti"),
        ("NVIDIA GeForce RTX 3080", "RTX 3080"),
        ("NVIDIA RTX 4000 SFF Ada Generation", "RTX 4000 SFF Ada"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100"),
        ("NVIDIA A100 80GB PCIe", "A100"),
        ("Tesla V100-PCIE-16GB", "V100"),
        ("AMD Instinct MI300X OAM", "MI300X"),
    ],
)
def test_a_type_is_known_by_its_words(name: str, known: str) -> None:
    assert gpu_of(name) == GPUS[known]


@pytest.mark.parametrize(
    "name", ["small", "NVIDIA RTX PRO 6000 Blackwell Server Edition MIG 1g.24gb"]
)
def test_of_an_unknown_one_nothing_is_said(name: str) -> None:
    assert gpu_of(name) is None


def test_what_has_no_room_has_no_rate() -> None:
    assert images_per_s(Gpu(448, 77), 16, EIGHT_BILLION) is None


def test_more_memory_longer_captions_and_fewer_bits_tell() -> None:
    roomy = per_s("NVIDIA RTX A5000", 48)
    long = per_s("NVIDIA RTX A5000", 24, Load(gb=17.5, gb_16_bit=17.5, tokens=400))
    eight_bit = per_s("NVIDIA RTX A5000", 24, Load(gb=11, gb_16_bit=17.5))
    alone = per_s("NVIDIA RTX A5000", 24, Load(gb=17.5, gb_16_bit=17.5, batch=1))

    usual = per_s("NVIDIA RTX A5000", 24)
    assert alone < long < usual < roomy
    assert usual < eight_bit
