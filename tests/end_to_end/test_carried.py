"""Nothing but a key: captiv brings its worker into a public image, and no image is set."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from captiv.testing.cloud import Cloud, Pod, running
from captiv.testing.cloud.container import descendants
from tests.roads import Road, carried
from tests.support import Home, finish, until
from tests.testing.conftest import Account
from tests.worker.checkpoints import PathOf, named

from .test_rented import calls, cost_is_the_bill
from .test_volume import weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.allow_blocking]

HF_TOKEN = "hf_of_the_user"


@contextmanager
def clouded(
    home: Home,
    road: Road,
    *,
    real: bool = False,
    batch_s: float = 0.0,
    engine: dict[str, Any] | None = None,
    **conditions: Any,
) -> Iterator[Cloud]:
    """Point an installation at a cloud that knows no image of captiv's."""
    options = json.dumps({"batch_s": batch_s} | (engine or {}))
    scripted = ("--engine", road.engine, "--engine-options", options)
    with running(
        worker_args=() if real else scripted, env=road.env, layers=road.layers, **conditions
    ) as cloud:
        home.env |= {**cloud.environment, "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "200"}
        yield cloud


def log_of(pod: Pod) -> str:
    return "\n".join(pod.log.texts("container"))


def waiting(cloud: Cloud) -> bool:
    return any("bootstrap waiting" in log_of(pod) for pod in cloud.pods())


def test_with_nothing_but_a_key_the_real_model_reads_the_scenes(home: Home) -> None:
    """What the worker needs comes from the index, as it does in RunPod's data centres."""
    truth = home.scenes(40)
    from_the_index = Road({}, engine=carried(Path()).engine)
    with clouded(home, from_the_index, real=True) as cloud:
        ended = home.generate("--runpod", "--fallback", "fail", timeout=380)
        ended_s, alive = time.time(), cloud.pods_alive()
        (pod,) = cloud.pods()

    captions = home.captions()
    right = sum(captions[str(home.sidecar(name))] == text for name, text in truth.items())
    assert ended.code == 0, (ended, log_of(pod))
    assert right / len(truth) >= 0.95
    assert alive == []
    cost_is_the_bill(home, cloud, ended_s)
    assert pod.asked.image == "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404"
    assert "Successfully installed" in log_of(pod)


def test_a_container_that_is_started_again_empty_is_brought_the_code_again(
    home: Home, carried_road: Road
) -> None:
    truth = home.scenes(24)
    with clouded(home, carried_road, batch_s=0.3, wipes_on_restart=True) as cloud:
        account = Account(cloud)
        process = home.start_generate("--runpod", "--fallback", "fail", "--batch-size", "2")
        until(lambda: bool(home.captions()), "a caption", within_s=120)
        (pod,) = cloud.pods()
        account.act(pod.id, "restart")
        ended = finish(process, timeout=200)
        account.close()
        made, alive = calls(cloud, "POST"), cloud.pods_alive()

    assert ended.code == 0, (ended, log_of(pod))
    assert len(home.captions()) == len(truth)
    assert log_of(pod).count("bootstrap carried") == 2
    assert (made, alive, pod.lives) == (1, [], 2)


def test_a_pod_that_waits_for_a_captiv_that_was_killed_is_brought_its_code_by_the_next(
    home: Home, carried_road: Road
) -> None:
    truth = home.scenes(12)
    with clouded(home, carried_road, pulling_s=3.0) as cloud:
        process = home.start_generate("--runpod", "--fallback", "fail")
        until(lambda: bool(cloud.pods()), "a pod")
        process.kill()
        finish(process)
        until(lambda: waiting(cloud), "the pod waits", within_s=60)
        ended = home.generate("--runpod", "--fallback", "fail", timeout=200)
        (pod,) = cloud.pods()
        alive = cloud.pods_alive()

    assert ended.code == 0, (ended, log_of(pod))
    assert f"Using pod {pod.id}" in ended.err
    assert len(home.captions()) == len(truth)
    assert (alive, log_of(pod).count("bootstrap carried")) == ([], 1)


def test_a_pod_that_waits_for_another_captiv_is_ended_and_another_is_rented(
    home: Home, carried_road: Road
) -> None:
    home.scenes(6)
    with clouded(home, carried_road, pulling_s=3.0) as cloud:
        process = home.start_generate("--runpod", "--fallback", "fail")
        until(lambda: bool(cloud.pods()), "a pod")
        process.kill()
        finish(process)
        with closing(sqlite3.connect(home.data / "data" / "captiv.db")) as table, table:
            table.execute("UPDATE pods SET version = '0.2.0+0123456789ab'")
        ended = home.generate("--runpod", "--fallback", "fail", timeout=200)
        first, second = cloud.pods()
        alive = cloud.pods_alive()

    assert ended.code == 0, (ended, log_of(second))
    assert alive == []
    assert "bootstrap carried" not in log_of(first)
    assert "bootstrap carried" in log_of(second)
    assert f"Pod {first.id} is ended: it is another captiv's (0.2.0+0123456789ab" in ended.err


def test_a_chat_model_is_driven_by_vllm_in_vllms_own_image(
    home: Home, carried_road: Road, checkpoint_path: PathOf
) -> None:
    truth = home.scenes(24)
    joycaption = str(checkpoint_path(named("joycaption-beta-one")))
    asked = ("caption", "generate", "-r", str(home.pictures), "--model", joycaption)
    with clouded(home, carried_road, real=True) as cloud:
        ended = home.run(*asked, "--runpod", "--fallback", "fail", timeout=300)
        (pod,) = cloud.pods()
        alive = cloud.pods_alive()

    assert ended.code == 0, (ended, log_of(pod))
    assert len(home.captions()) == len(truth)
    assert pod.asked.image == "vllm/vllm-openai:v0.33.0"
    assert "server_started name=vllm" in log_of(pod)
    assert alive == []


def test_on_a_network_volume_the_second_pod_fetches_no_model_and_the_estimate_knows(
    home: Home, carried_road: Road
) -> None:
    home.scenes(3)
    home.env["CAPTIV_RUNPOD_NETWORK_VOLUME"] = "v1"
    asked = ("caption", "generate", "-r", str(home.pictures), "--model", "blip", "--runpod")
    engine = {"download": True, "download_s": 1.0}
    with clouded(home, carried_road, engine=engine, volumes={"v1": "CA-MTL-3"}) as cloud:
        first = home.run(*asked, "--fallback", "fail", timeout=300)
        assert first.code == 0, (first, log_of(cloud.pods()[0]))
        written_ns = weights(cloud.pods()[0]).stat().st_mtime_ns
        dry = home.run(*asked, "--overwrite", "--dry-run", "--json")
        second = home.run(*asked, "--overwrite", "--fallback", "fail", timeout=300)
        pods, alive = cloud.pods(), cloud.pods_alive()
        found_ns = weights(pods[1]).stat().st_mtime_ns

    assert (dry.code, second.code) == (0, 0), (dry, second)
    assert (len(pods), alive) == (2, [])
    assert found_ns == written_ns, "it was fetched again"
    assert "of weights, unless they are on the network volume; about" in first.err
    assert "an image of some 12 GB; the model is on the network volume; about" in second.err
    rental = json.loads(dry.out)["rental"]
    assert rental["fetched_bytes"] == 12_000_000_000
    assert rental["startup"]["download_s"] == 0
    assert rental["startup"]["measured"]


def test_the_token_of_the_hub_reaches_the_worker_and_not_the_pods_settings(
    home: Home, carried_road: Road
) -> None:
    home.scenes(12)
    home.env["HF_TOKEN"] = HF_TOKEN
    with clouded(home, carried_road, batch_s=0.5) as cloud:
        process = home.start_generate("--runpod", "--fallback", "fail", "--batch-size", "2")
        until(lambda: bool(home.captions()), "a caption", within_s=120)
        (pod,) = cloud.pods()
        assert pod.container is not None
        processes = [Path(f"/proc/{pid}") for pid in descendants(pod.container.pid)]
        (worker,) = [p for p in processes if b"captiv_worker\0" in (p / "cmdline").read_bytes()]
        seen = (worker / "environ").read_bytes().split(b"\0")
        ended = finish(process, timeout=200)

    assert ended.code == 0, (ended, log_of(pod))
    assert f"HF_TOKEN={HF_TOKEN}".encode() in seen
    assert HF_TOKEN not in json.dumps(dict(pod.recipe().env)) + log_of(pod) + ended.err
