"""`--runpod --dry-run`: what would be rented, and that nothing is."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from captiv.catalog import choose
from captiv.core.jobs import Received, RunId
from captiv.core.naming import Place
from captiv.core.pods import pod_name, version_with
from captiv.core.spec import RunSpec
from captiv.rental.estimate import quoted
from captiv.rental.measured import images_per_s
from captiv.rental.runpod import RUNPOD
from captiv.request.options import Options
from captiv.request.run import request
from captiv.settings import Settings
from captiv.store import Store, ingest, jobs, lease, pods, runs
from captiv.testing.cloud import Cloud, running
from captiv.testing.scenes import write_scenes

from .conftest import Cli, Ended

pytestmark = pytest.mark.allow_blocking  # a command alone on its loop waits for nobody else

A4000, A5000 = "NVIDIA RTX A4000", "NVIDIA RTX A5000"


def _went(store: Store, spec: RunSpec, gpu: str, *, every_ms: int, version: str = "1") -> RunId:
    """Put a finished run of 40 images on a GPU into the job table; return its id."""
    selection = spec.selection.model_copy(update={"roots": (f"/once/{every_ms}",)})
    run, _ = store.write(runs.open_run, spec.model_copy(update={"selection": selection}), 1)
    store.write(
        ingest.add_jobs,
        run.id,
        [Place(f"/{every_ms}/{i}.png", f"/{every_ms}/{i}.txt") for i in range(40)],
        1,
    )
    store.write(ingest.mark_scanned, run.id)
    session = store.write(lease.begin_session, 1, "here", "dispatcher", 1)
    for at, job in enumerate(store.write(jobs.claim, run.id, 40, session, 1)):
        got = Received(job, "a dog", None, "shapes", "shapes", "{}", None, 3)
        (to_write,) = store.write(jobs.receive, [got], at * every_ms)
        store.write(jobs.finish, [(to_write.job_id, to_write.attempt)], at * every_ms)
    name = pod_name("runpod", "0123456789ab", run.id, "t")
    about: dict[str, Any] = {
        "provider": "runpod",
        "gpu": gpu,
        "cloud": "community",
        "price_micro": 170_000,
        "version": version,
    }
    store.write(pods.intend, name, run_id=run.id, deadline_ms=None, now_ms=1, **about)
    store.write(pods.arrived, name, f"pod-{every_ms}", 170_000, 1, "https://pod.example")
    return run.id


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
    asked = {call.operation for call in box.history if call.path != "/graphql"}
    assert asked.isdisjoint({"create_pod", "start_pod"})
    assert box.pods() == [], "and there was none to end"
    assert box.pods() == []
    box.mischief.disarm()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_scenes(tmp_path / "pictures", 1, 3)
    return tmp_path / "pictures"


@pytest.fixture
def dry(cli: Cli, pictures: Path, captiv_home: Path) -> Iterator[Any]:
    def run(*arguments: object, code: int = 0) -> Ended:
        ended = cli("caption", "generate", "--runpod", "--dry-run", *arguments, pictures)
        assert ended.code == code, ended.err
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
    assert (found["as_run"], found["problem"]) == (None, None)
    assert found["images_per_s"] > 1, "by the GPU's data sheet"
    parts = {"host_s": 165, "download_s": 12.5, "load_s": 21.9, "measured": False}
    assert found["startup"] == parts, "an image of 12 GB, 1.9 GB of weights"
    assert found["fetched_bytes"] == 13_880_000_000
    assert found["expected"]["seconds"] == pytest.approx(200, abs=2)
    assert found["at_most"] == {"seconds": 1800, "dollars": "0.0800"}
    assert cloud.account_key not in str(found)


def test_a_person_reads_it_in_lines(cloud: Cloud, dry: Any) -> None:
    said = dry("--gpu-type", A5000).out

    assert f"{A5000} (24 GB), community cloud, $0.16/h, stock high" in said
    assert "fetches an image of some 12 GB and 1.9 GB of weights\n" in said
    assert "about 3 min and $0.0089: 3 min for its start, then " in said
    assert "images/s a pod, estimated" in said
    assert "at most 24 h 0 min and $3.84 a pod, for want of --max-cost" in said


def test_several_pods_share_the_cap_and_the_work(cloud: Cloud, dry: Any) -> None:
    given = ("--gpu-type", A5000, "--pods", "2", "--max-cost", "0.08")

    said, found = dry(*given).out, rental(dry(*given, "--json"))

    assert f"2 pods, each {A5000} (24 GB), community cloud, $0.16/h (together $0.32/h)" in said
    assert found["pods"] == 2
    assert found["at_most"] == {"seconds": 900, "dollars": "0.0800"}
    assert rental(dry("--pods", "9", "--json"))["pods"] == 3, "there are three images"
    without = dry("--gpu-type", A5000, "--pods", "2").out
    assert "at most 24 h 0 min and $7.68 for 2 pods, for want of --max-cost" in without


def test_a_type_of_the_settings_that_nobody_offers_is_a_mistake(
    cloud: Cloud, dry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIV_RUNPOD_DEFAULT_GPU_TYPE", "RTX A4001")
    ended = dry(code=3)

    assert "No GPU type 'RTX A4001' is on offer" in ended.out
    assert "Did you mean NVIDIA RTX A4000" in ended.out


def test_a_wish_of_the_settings_comes_before_the_cheapest_and_may_be_none(
    cloud: Cloud, cli: Cli, dry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wished = rental(dry("--json"))
    cli("config", "set", "runpod.default_gpu_type", "")
    unwished = rental(dry("--json"))
    monkeypatch.setenv("CAPTIV_RUNPOD_DEFAULT_GPU_TYPE", "A4000")
    again = rental(dry("--json"))
    monkeypatch.setenv("CAPTIV_RUNPOD_DEFAULT_GPU_TYPE", "")
    never = rental(dry("--json"))

    assert (wished["gpu"], wished["price_usd_h"]) == ("NVIDIA RTX A4000", 0.17)
    assert (unwished["gpu"], unwished["price_usd_h"]) == (A5000, 0.16)
    assert again["gpu"] == wished["gpu"]
    assert never["gpu"] == A5000


def test_a_misspelt_type_is_answered_with_those_like_it(cloud: Cloud, dry: Any) -> None:
    found = rental(dry("--gpu-type", "A50000", "--json", code=2))

    assert found["gpu"] is None
    assert f"Did you mean {A5000}" in found["problem"]
    assert "captiv runpod gpus" in found["problem"]


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

    found = anyio.run(
        quoted, RUNPOD, spec, replace(choice.variant, images_per_s=10), settings, 12_000
    )

    assert found.expected is not None
    assert found.expected.seconds == 165 + 1200
    assert found.expected.dollars == Decimal("0.16") * 1365 / 3600
    assert "about 22 min and $0.0607: 2 min for its start, then 10 images/s a pod, estimated" in (
        found.lines()
    )
    assert "what --max-cost does not pay for stays pending" in found.lines()


def test_a_run_of_ones_own_tells_how_long_it_takes(
    cloud: Cloud, cli: Cli, pictures: Path, captiv_home: Path
) -> None:
    arguments = ("caption", "generate", "--runpod", "--model", "shapes", "--max-cost", "2")
    asked = Options(paths=[pictures], model="shapes", runpod=True)
    spec, _ = request(asked, Settings())
    with Store.open(captiv_home / "data" / "captiv.db") as store:
        _went(store, spec, A4000, every_ms=2_000)
        run = _went(store, spec, A4000, every_ms=500)
        _went(store, spec, A5000, every_ms=100)
        _went(store, spec, A4000, every_ms=50, version=version_with("vllm", "1"))

    found = rental(cli(*arguments, "--dry-run", "--gpu-type", A4000, "--json", pictures))

    assert found["gpu"] == A4000
    assert found["as_run"] == run
    assert found["images_per_s"] == pytest.approx(2, rel=0.1)
    assert found["expected"]["seconds"] == pytest.approx(165 + 3 / 2, abs=1)
    told = cli(*arguments, "--dry-run", "--gpu-type", A4000, pictures).out
    assert f"then 2 images/s a pod, as in run {run}" in told


def test_of_pauses_and_few_captions_no_rate_is_made() -> None:
    steady = [(at_ms, 3) for at_ms in range(0, 20_000, 1_000)]
    later = [(at_ms + 3_600_000, n) for at_ms, n in steady]

    assert images_per_s(steady) == 3
    assert images_per_s([*steady, *later]) == 3
    assert images_per_s(steady[:7]) is None
    assert images_per_s([]) is None


def test_without_a_key_it_says_so(
    dry: Any, monkeypatch: pytest.MonkeyPatch, captiv_home: Path
) -> None:
    monkeypatch.setenv("CAPTIV_RUNPOD_IMAGE", "captiv/worker:test")

    assert "There is no RunPod API key" in rental(dry("--json", code=3))["problem"]
    assert "captiv config set runpod.api_key" in dry(code=3).out


def test_without_anything_to_run_it_says_so(
    cloud: Cloud, dry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAPTIV_RUNPOD_IMAGE")
    monkeypatch.setenv("CAPTIV_RUNPOD_BOOTSTRAP", "image")

    assert "Set runpod.image" in rental(dry("--json", code=3))["problem"]


def test_a_key_that_runpod_refuses_is_told(
    cloud: Cloud, dry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_THISISNOTTHEKEY123")

    ended = dry("--json", code=3)

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

    assert ended.code == 1
    assert "nothing would be rented: there is no image" in ended.out
    assert cloud.history == []


def test_a_local_preview_asks_nobody(cloud: Cloud, cli: Cli, pictures: Path) -> None:
    ended = cli("caption", "generate", "--dry-run", "--json", pictures)

    assert "rental" not in json.loads(ended.out)
    assert cloud.history == []
