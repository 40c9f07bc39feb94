"""What can be said of the image's files without an engine; scripts/image builds it for real."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
LOCKS = sorted((DOCKER / "requirements").glob("cu*.txt"))


def _pinned(lock: Path) -> dict[str, str]:
    text = lock.read_text()
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^ ;\\]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.stem)
def test_a_lock_pins_all_that_captiv_needs_with_hashes(lock: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["local"] + extras["quant"]
    names = {re.split(r"[<>=\[; ]", line)[0].replace("_", "-") for line in wanted}

    assert names <= set(_pinned(lock))
    blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert all("--hash=sha256:" in block for block in blocks)
    assert "http" not in re.sub(
        r"^(httpx2|httpcore2|httptools)\S*", "", lock.read_text(), flags=re.M
    )


def test_every_cuda_has_its_lock_its_page_and_its_build() -> None:
    tags = {lock.stem for lock in LOCKS}
    built = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    matrix = built["jobs"]["image"]["strategy"]["matrix"]["include"]
    page = (ROOT / "docs/worker-image.md").read_text()

    assert {row["tag"] for row in matrix} == tags
    for row in matrix:
        assert row["tag"] == "cu" + "".join(row["cuda"].split(".")[:2])
    for lock in LOCKS:
        assert f"| `{lock.stem}` | {_pinned(lock)['torch']} |" in page


def test_a_lock_carries_the_cuda_of_its_name() -> None:
    for lock in LOCKS:
        pinned = _pinned(lock)
        runtime = pinned.get("nvidia-cuda-runtime-cu12") or pinned["nvidia-cuda-runtime"]
        assert "cu" + "".join(runtime.split(".")[:2]) == lock.stem


def test_compose_has_tls_in_front_and_no_worker_on_the_network() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    worker, tls = compose["services"]["worker"], compose["services"]["tls"]

    assert "ports" not in worker
    assert tls["ports"] == ["443:443"]
    assert worker["environment"]["CAPTIV_WORKER_TOKEN"].startswith("${CAPTIV_WORKER_TOKEN:?")
    assert (DOCKER / "Caddyfile").is_file()


def test_compose_starts_the_worker_with_arguments_that_it_takes() -> None:
    from captiv_worker.settings import parse

    worker = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["worker"]
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in worker["command"]]

    settings = parse(words, {"CAPTIV_WORKER_TOKEN": "x"})

    assert (settings.host, settings.port) == ("0.0.0.0", 8000)


def test_the_chat_server_is_pinned_wants_a_key_and_is_published_to_this_machine_only() -> None:
    from captiv.catalog import choose

    vllm = yaml.safe_load((DOCKER / "vllm.compose.yaml").read_text())["services"]["vllm"]
    model = re.fullmatch(r"\$\{CAPTIV_VLLM_MODEL:-(.+)\}", vllm["command"][0])
    choice = choose("joycaption")

    assert re.fullmatch(
        r"vllm/vllm-openai:\$\{CAPTIV_VLLM_VERSION:-v\d+\.\d+\.\d+\}", vllm["image"]
    )
    assert vllm["environment"]["VLLM_API_KEY"].startswith("${CAPTIV_WORKER_TOKEN:?")
    assert all(port.startswith("127.0.0.1:") for port in vllm["ports"])
    assert model is not None and choice is not None
    assert model[1] == choice.variant.source
    page = (ROOT / "docs/chat-servers.md").read_text()
    for variable in set(
        re.findall(r"\$\{(CAPTIV_VLLM_\w+)", (DOCKER / "vllm.compose.yaml").read_text())
    ):
        assert variable in page


SKY_TASK = {
    *("name", "workdir", "num_nodes", "resources", "envs", "secrets", "volumes"),
    *("file_mounts", "setup", "run", "config", "service"),
}
SKY_RESOURCES = {
    *("infra", "accelerators", "accelerator_args", "cpus", "memory", "instance_type", "use_spot"),
    *("disk_size", "disk_tier", "network_tier", "max_hourly_cost", "image_id", "ports", "labels"),
    *("autostop", "any_of", "ordered", "job_recovery"),
}
SKY_AUTOSTOP = {"idle_minutes", "down", "wait_for", "hook", "hook_timeout"}
"""SkyPilot's fields, by its YAML reference and sky/utils/schemas.py, which refuse any other."""


def sky_task() -> dict[str, Any]:
    task = yaml.safe_load((DOCKER / "skypilot.yaml").read_text())
    assert isinstance(task, dict)
    return task


def arguments_of(line: str) -> list[str]:
    """Return what follows the worker's own name on a shell line."""
    return re.split(r"captiv-worker(?::cu128)? (?=--host)", line)[-1].split()


def test_skypilot_s_file_has_its_documented_fields_and_types() -> None:
    task = sky_task()
    resources = task["resources"]
    autostop = resources["autostop"]

    assert task.keys() <= SKY_TASK
    assert resources.keys() <= SKY_RESOURCES
    assert autostop.keys() <= SKY_AUTOSTOP
    assert resources["accelerators"], "GPUs"
    assert all(re.fullmatch(r"[A-Z0-9-]+:\d+", gpu) for gpu in resources["accelerators"])
    assert set(resources["accelerators"].values()) == {None}, (
        "a set, of which it takes the cheapest"
    )
    assert isinstance(resources["disk_size"], int)
    assert all(isinstance(value, str) for value in task["envs"].values())


def test_skypilot_s_machine_ends_in_any_case_and_opens_no_port() -> None:
    task = sky_task()
    autostop = task["resources"]["autostop"]

    assert (autostop["wait_for"], autostop["down"]) == ("none", True)
    assert 0 < autostop["idle_minutes"] <= 24 * 60
    assert "ports" not in task["resources"]
    assert task["secrets"] == {"CAPTIV_WORKER_TOKEN": None}, "asked for, and never in the file"
    assert "--host 127.0.0.1 " in task["run"]


def test_skypilot_s_file_says_what_its_model_needs() -> None:
    from captiv.catalog import choose

    choice = choose(sky_task()["envs"]["CAPTIV_MODEL"])

    assert choice is not None
    needs = f"needs {choice.variant.vram_gb['bfloat16']:g} GB in 16 bit"
    assert needs in (DOCKER / "skypilot.yaml").read_text()


@pytest.mark.parametrize("part", ["setup", "run"])
def test_skypilot_s_shell_lines_are_shell(part: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=sky_task()[part], text=True, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_worker_takes_the_arguments_of_skypilot_s_file_and_of_docker_run() -> None:
    from captiv_worker.settings import parse

    from captiv.catalog import choose

    task = sky_task()
    model = task["envs"]["CAPTIV_MODEL"]
    page = (ROOT / "docs/other-clouds.md").read_text()
    (docker_run,) = re.findall(r"^docker run (?:.*\\\n)+.*$", page, flags=re.MULTILINE)
    lines = {
        "127.0.0.1": task["run"].replace('"$CAPTIV_MODEL"', model),
        "0.0.0.0": docker_run.replace("\\\n", " "),
    }

    named = re.findall(r"(?:--model |CAPTIV_MODEL=)([\w.-]+)", page)
    assert {"joycaption", "qwen3-vl-8b"} <= set(named)
    assert all(choose(name) is not None for name in (model, *named)), named
    for host, line in lines.items():
        settings = parse(arguments_of(line), {"CAPTIV_WORKER_TOKEN": "x"})
        assert (settings.host, settings.port) == (host, 8000)
    assert "-p 127.0.0.1:8000:8000" in docker_run
