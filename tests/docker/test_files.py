"""What can be said of the image's files without an engine; scripts/image builds it for real."""

import re
import tomllib
from pathlib import Path

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
