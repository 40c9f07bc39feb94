"""`--runpod --dry-run`: what would be rented, and that nothing is."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from captiv.catalog import choose
from captiv.cli.quote import quoted
from captiv.cli.request import Options, request
from captiv.settings import Settings
from captiv.testing.cloud import Cloud, running
from captiv.testing.scenes import write_scenes

from .conftest import Cli, Ended

pytestmark = pytest.mark.allow_blocking  # a command alone on its loop waits for nobody else

A5000 = "NVIDIA RTX A5000"


@pytest.fixture(scope="module")
def box() -> Iterator[Cloud]:
    with running() as opened:
        yield opened


@pytest.fixture
def cloud(box: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud that the settings name, and in which nothing may be made."""
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CAPTIV_RUNPOD_IMAGE", "captiv/worker:test")
    box.history.clear()
    yield box
    assert {call.method for call in box.history} <= {"GET"}
    assert box.pods() == []
    box.mischief.disarm()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_scenes(tmp_path / "pictures", 1, 3)
    return tmp_path / "pictures"


@pytest.fixture
def dry(cli: Cli, pictures: Path, captiv_home: Path) -> Iterator[Any]:
    def run(*arguments: object) -> Ended:
        ended = cli("caption", "generate", "--runpod", "--dry-run", *arguments, pictures)
        assert ended.code == 0, ended.err
        return ended

    yield run
    assert not (captiv_home / "data" / "captiv.db").exists()
    assert not list(pictures.glob("*.txt"))


def rental(ended: Ended) -> dict[str, Any]:
    facts = json.loads(ended.out)
    assert (facts["images"], facts["worker"]) == (3, "RunPod")
    found = facts["rental"]
    assert isinstance(found, dict)
    return found


def test_the_gpu_its_price_and_the_cap_are_told(cloud: Cloud, dry: Any) -> None:
    found = rental(dry("--gpu-type", A5000, "--max-cost", "0.08", "--json"))

    assert (found["gpu"], found["cloud"], found["price_usd_h"]) == (A5000, "community", 0.16)
    assert (found["images_per_s"], found["expected"], found["problem"]) == (None, None, None)
    assert found["at_most"] == {"seconds": 1800, "dollars": "0.0800"}
    assert cloud.account_key not in str(found)


def test_a_person_reads_it_in_lines(cloud: Cloud, dry: Any) -> None:
    said = dry("--gpu-type", A5000).out

    assert f"{A5000} (24 GB), community cloud, $0.16/h, stock high" in said
    assert "rate is not measured yet" in said
    assert "at most 24 h 0 min and $3.84 a pod, for want of --max-cost" in said


def test_a_wish_that_is_not_met_is_answered(cloud: Cloud, dry: Any) -> None:
    found = rental(dry("--gpu-type", "RTX 9999", "--json"))

    assert found["notes"][0].startswith("There is no GPU type 'RTX 9999' on offer: taking")


def test_a_measured_rate_gives_time_and_cost(cloud: Cloud, pictures: Path) -> None:
    settings = Settings.model_validate(
        {
            "runpod": {
                "api_key": cloud.account_key,
                "api_url": cloud.api_url,
                "image": "captiv/worker:test",
                "default_gpu_type": A5000,
            }
        }
    )
    asked = Options(paths=[pictures], model="shapes", runpod=True, max_cost="0.05")
    spec, _ = request(asked, settings)
    choice = choose("shapes")
    assert choice is not None

    found = quoted(spec, replace(choice.variant, images_per_s=10), settings, 12_000)

    assert found.expected is not None
    assert found.expected.seconds == 600 + 1200  # the start may take all of startup_timeout
    assert found.expected.dollars == Decimal("0.08")
    assert "about 30 min and $0.0800, its start included" in found.lines()
    assert "what --max-cost does not pay for stays pending" in found.lines()


def test_without_a_key_it_says_so(
    dry: Any, monkeypatch: pytest.MonkeyPatch, captiv_home: Path
) -> None:
    monkeypatch.setenv("CAPTIV_RUNPOD_IMAGE", "captiv/worker:test")

    assert "there is no RunPod API key" in rental(dry("--json"))["problem"]
    assert "captiv config set runpod.api_key" in dry().out


def test_without_anything_to_run_it_says_so(
    cloud: Cloud, dry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAPTIV_RUNPOD_IMAGE")

    assert "Set runpod.image" in rental(dry("--json"))["problem"]


def test_what_runpod_refuses_is_told_and_is_no_failure(
    cloud: Cloud, dry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_THISISNOTTHEKEY123")

    ended = dry("--json")

    assert "RunPod refuses the API key" in rental(ended)["problem"]
    assert "THISISNOTTHEKEY" not in ended.out + ended.err


def test_above_the_limit_nothing_would_be_rented(
    cloud: Cloud, dry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIV_RUNPOD_MAX_PRICE", "0.01")

    assert "above the limit of $0.01/h" in rental(dry("--json"))["problem"]


def test_without_images_nothing_would_be_rented(cloud: Cloud, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ended = cli("caption", "generate", "--runpod", "--dry-run", tmp_path / "empty")

    assert ended.code == 0
    assert "nothing would be rented: there is no image" in ended.out
    assert cloud.history == []


def test_a_local_preview_asks_nobody(cloud: Cloud, cli: Cli, pictures: Path) -> None:
    ended = cli("caption", "generate", "--dry-run", "--json", pictures)

    assert "rental" not in json.loads(ended.out)
    assert cloud.history == []
