"""Where the options and the settings place a run."""

import os
from pathlib import Path
from typing import Any

import pytest

from captiv.core.spec import Placement, Site
from captiv.errors import UsageError
from captiv.request.options import Options
from captiv.request.placement import place
from captiv.settings import Settings

A, B = "https://a.example", "https://b.example:8000"
POD = Site(kind="rented", provider="runpod")
ELSEWHERE = {"worker": {"url": "https://set.example"}}


def placed(settings: dict[str, Any] | None = None, **options: Any) -> Placement:
    return place(Options(**options), Settings.model_validate(settings or {}))


def at(url: str) -> Site:
    return Site(kind="url", url=url)


def test_every_worker_that_is_named_is_one() -> None:
    assert placed(worker=[A, B]).sites == (at(A), at(B))


def test_pods_this_machine_and_workers_elsewhere_go_together() -> None:
    placement = placed(runpod=True, pods=2, local=True, device="cpu,cuda:1", worker=[A])

    assert placement.sites == (at(A), Site(device="cpu"), Site(device="cuda:1"), POD, POD)
    assert (placement.kind, placement.provider) == ("rented", "runpod")


def test_this_machine_is_the_worker_where_nothing_else_is_named() -> None:
    assert placed().sites == (Site(),)
    assert placed(ELSEWHERE).sites == (at("https://set.example"),)
    assert placed(ELSEWHERE, local=True).sites == (Site(),)
    assert placed(ELSEWHERE, runpod=True).sites == (POD,)
    assert placed(ELSEWHERE, worker=[A]).sites == (at(A),)


def test_a_worker_on_each_device_and_on_the_cpu_as_many_as_are_named() -> None:
    assert placed(device="cuda:0,cuda:1").sites == (Site(device="cuda:0"), Site(device="cuda:1"))
    assert placed(device="cpu,cpu,cpu").sites == (Site(device="cpu"),) * 3
    assert placed({"system": {"device": "xpu:0,cpu"}}).workers == 2


def test_the_device_for_a_fallback_is_kept(tmp_path: Path) -> None:
    assert placed(runpod=True, device="cuda:1").device == "cuda:1"
    assert placed({"system": {"device": "cuda:0,cuda:1"}}, runpod=True).device == "auto"


CAPPED = {"runpod": {"max_cost": 2.5}}


def test_the_cap_of_the_settings_is_the_runs_where_the_command_names_none() -> None:
    assert placed(CAPPED, runpod=True).max_cost_usd == "2.5"
    assert placed(CAPPED, runpod=True, max_cost="7").max_cost_usd == "7"
    assert placed(CAPPED, runpod=True, max_cost="none").max_cost_usd is None
    assert placed({"runpod": {"max_cost": "none"}}, runpod=True).max_cost_usd is None
    assert placed(CAPPED).max_cost_usd is None, "nothing is rented"
    said = [placed(CAPPED, runpod=True, max_cost=cap).max_cost_said for cap in (None, "7", "none")]
    assert said == [False, True, True]


@pytest.fixture
def torch_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a torch in the place of the real one, for child processes."""

    def seen(cuda: int, xpu: int = 0) -> None:
        parts = (
            f"class {name}:\n"
            f"    is_available = staticmethod(lambda: {n} > 0)\n"
            f"    device_count = staticmethod(lambda: {n})\n"
            for name, n in (("cuda", cuda), ("xpu", xpu))
        )
        (tmp_path / "torch.py").write_text("".join(parts))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path) + os.pathsep)

    return seen


@pytest.mark.parametrize(
    ("cuda", "xpu", "devices"),
    [(3, 0, ["cuda:0", "cuda:1", "cuda:2"]), (0, 2, ["xpu:0", "xpu:1"]), (0, 0, ["auto"])],
)
def test_all_is_every_gpu_that_torch_sees(
    torch_sees: Any, cuda: int, xpu: int, devices: list[str]
) -> None:
    torch_sees(cuda, xpu)

    assert [site.device for site in placed(device="all").sites] == devices


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"worker": [A, A + "/"]}, f"--worker {A} is given twice"),
        ({"worker": [A, B, A, A]}, f"--worker {A} is given 3 times"),
        ({"worker": [A], "device": "cpu"}, "this run has none"),
        ({"runpod": True, "device": "cuda:0,cuda:1"}, "this run has none"),
        ({"runpod": True, "device": "all"}, "this run has none"),
        ({"device": "cuda:1,cuda:1"}, "cuda:1 more than once"),
        ({"device": "cuda,cuda:0"}, "cuda:0 more than once"),
        ({"device": "mps,mps"}, "mps more than once"),
        ({"device": "auto,cpu"}, "auto is one device"),
        ({"device": "cpu,"}, "--device is auto, cpu"),
        ({"device": "cpu,all"}, "--device is auto, cpu"),
        ({"local": True, "protocol": "openai"}, "needs the server's address"),
        ({"local": True, "worker": [A], "pods": 2}, "--pods goes with --runpod"),
        ({"worker": [A, "http://far.example"]}, "in clear"),
    ],
)
def test_what_contradicts_is_refused_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        placed(**options)
