"""What is found out about this machine."""

import os
import stat
from pathlib import Path

import pytest

from captiv.workers import machine as looked_at
from captiv.workers.machine import _ram_gb

SMI = """#!/bin/sh
[ "$*" = "--query-gpu=memory.total --format=csv,noheader,nounits" ] || exit 2
printf '8188\\n24564\\n'
"""


@pytest.fixture(autouse=True)
def own_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have programs of the test's own, and a cache of models in a folder that is not there."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "not" / "there"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return tools


def driver(tools: Path, script: str) -> None:
    path = tools / "nvidia-smi"
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.allow_blocking
def test_the_largest_gpu_counts_as_the_driver_tells(own_tools: Path) -> None:
    driver(own_tools, SMI)

    assert looked_at("owner/name").vram_gb == pytest.approx(24564 * 1.048576 / 1000)


@pytest.mark.allow_blocking
def test_a_driver_that_fails_tells_of_no_gpu(own_tools: Path) -> None:
    driver(own_tools, "#!/bin/sh\necho 'NVIDIA-SMI has failed' ; exit 9\n")

    assert looked_at("owner/name").vram_gb is None


@pytest.mark.allow_blocking
def test_disk_and_memory_are_those_of_this_machine(tmp_path: Path) -> None:
    found = looked_at("owner/name")

    stats = os.statvfs(tmp_path)
    assert found.free_gb == pytest.approx(stats.f_bavail * stats.f_frsize / 1e9, rel=0.1)
    assert found.ram_gb is not None
    assert found.ram_gb > 0.1
    assert found.torch


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_container_has_its_share_of_the_memory(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("50000000\n")

    assert _ram_gb(tmp_path) == 0.05


def test_a_container_without_a_limit_has_all(tmp_path: Path) -> None:
    whole = _ram_gb(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")

    assert _ram_gb(tmp_path) == whole


@pytest.mark.allow_blocking
def test_a_model_that_was_fetched_or_is_a_folder_is_known(tmp_path: Path) -> None:
    snapshot = tmp_path / "not" / "there" / "hub" / "models--owner--name" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert not looked_at("owner/name").cached, "its weights are still to come"
    (snapshot / "model.safetensors").write_text("")

    assert looked_at("owner/name").cached
    assert looked_at(str(tmp_path)).cached
    assert not looked_at("owner/other").cached


@pytest.mark.allow_blocking
def test_what_is_there_of_a_download_is_known(tmp_path: Path) -> None:
    blobs = tmp_path / "not" / "there" / "hub" / "models--owner--name" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "abc.incomplete").write_bytes(bytes(3_000_000))

    assert looked_at("owner/name").held_gb == pytest.approx(0.003)
    assert looked_at("owner/other").held_gb == 0


@pytest.mark.allow_blocking
@pytest.mark.parametrize(
    ("shown", "gpus"), [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("GPU-a,GPU-b", 2)]
)
def test_a_gpu_that_is_hidden_from_programs_is_not_there(
    own_tools: Path, monkeypatch: pytest.MonkeyPatch, shown: str | None, gpus: int
) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    driver(own_tools, SMI)

    assert looked_at("owner/name").gpus == gpus
