"""Runs on rented pods and the account's pods, from the page, over the simulated cloud."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from captiv.testing.cloud import Cloud
from tests.support import Home, finish, until

from .clouds import orphan, rented
from .pages import Page, Visitor

NEAR_S = 3.0
"""So often pods are asked for while somebody looks at them."""

pytestmark = [pytest.mark.allow_blocking, pytest.mark.timeout(240)]


@pytest.fixture
def cloud(home: Home) -> Iterator[Cloud]:
    home.scenes(6, nested=False)
    with rented(home, engine={"hold_load": str(home.folder / "hold")}) as opened:
        yield opened
        assert opened.pods_alive() == [], "the test left a pod that bills"


def seen(visitor: Visitor, count: int, **as_is: Any) -> list[dict[str, Any]]:
    """Wait until the page shows so many pods, each of them as it should be."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        told = visitor.get("/api/pods")
        found[:] = told["pods"]
        as_told = all(pod[name] == value for pod in found for name, value in as_is.items())
        return told["at_ms"] is not None and len(found) == count and as_told

    with visitor.live():  # with no tab open nothing is asked
        until(there, f"{count} pods are seen", every_s=0.2)
    return found


@pytest.mark.slow
def test_a_run_rents_a_pod_and_tells_what_it_cost(
    home: Home, cloud: Cloud, launch: Callable[..., Page]
) -> None:
    page = launch("--runpod")
    visitor = page.visitor()
    wish = {"model": "shapes", "where": "runpod", "max_cost": "1", "fallback": "fail"}
    quote = visitor.http.post("/api/quotes", json=wish, timeout=60).json()
    assert (quote["images"], quote["gpu"]) == (6, "NVIDIA RTX A4000")
    assert quote["max_cost_usd"] == "1"

    begun = visitor.http.post("/api/runs", json=wish, timeout=60).json()
    until(lambda: not visitor.get(f"/api/runs/{begun['id']}")["here"], "the run ends", every_s=0.2)

    run = visitor.get(f"/api/runs/{begun['id']}")
    assert (run["state"], run["counts"]["done"], run["where"]) == ("finished", 6, "runpod")
    assert len(home.captions()) == 6
    (pod,) = run["bill"]
    assert pod["pod"] == cloud.pods()[0].id
    assert not pod["still_bills"]
    assert float(pod["share_usd"]) > 0
    assert run["cost"].startswith("$0.0")
    assert cloud.account_key not in json.dumps(run) + visitor.http.get("/").text


@pytest.mark.slow
def test_a_page_that_ends_ends_the_pod_of_its_run(
    home: Home, cloud: Cloud, launch: Callable[..., Page], tmp_path: Path
) -> None:
    page = launch("--runpod")
    visitor = page.visitor()
    cloud.mischief.arm("slow_start")
    visitor.http.post(
        "/api/runs", json={"model": "shapes", "where": "runpod", "fallback": "fail"}, timeout=60
    )
    until(lambda: cloud.pods_alive() != [], "a pod is rented")

    page.process.send_signal(signal.SIGINT)
    page.says("finishing what is at the worker")
    page.process.send_signal(signal.SIGINT)
    ended = finish(page.process)

    assert ended.code == 0, ended
    assert cloud.pods_alive() == []


@pytest.mark.slow
def test_a_pod_is_made_by_hand_its_log_read_and_it_is_ended(
    home: Home, cloud: Cloud, launch: Callable[..., Page]
) -> None:
    visitor = launch().visitor()
    hold = home.held()

    made = visitor.http.post("/api/pods", json={"model": "shapes", "name": "mine"})
    assert made.status_code == 202, made.text
    assert visitor.http.post("/api/pods", json={}).status_code == 400, "one at a time"
    hold.unlink()
    with visitor.live():
        until(lambda: visitor.get("/api/pods")["making"]["over"], "it is made", every_s=0.2)
    assert visitor.get("/api/pods")["making"]["error"] is None
    (pod,) = seen(visitor, 1, phase="ready")  # the page may have seen it before
    assert (pod["ours"], pod["orphan"]) == (True, None)
    assert pod["spent"].startswith("$0.0")
    with visitor.http.stream("GET", f"/api/pods/{pod['pod']}/log?source=system") as log:
        assert log.status_code == 200
        first = json.loads(next(log.iter_lines()))
    assert first["text"]
    question = visitor.get(f"/api/pods/{pod['pod']}/end")["question"]
    assert question.startswith(f"Terminate pod {pod['pod']}")
    assert cloud.pods_alive() == [pod["pod"]], "asking ends nothing"

    gone = visitor.http.delete(f"/api/pods/{pod['pod']}", timeout=60).json()

    assert "is gone; it cost $" in gone["said"]
    assert cloud.pods_alive() == []
    seen(visitor, 0)


@pytest.mark.slow
def test_an_orphan_is_told_and_swept(home: Home, cloud: Cloud, launch: Callable[..., Page]) -> None:
    visitor = launch().visitor()
    made = orphan(home, cloud)

    (pod,) = seen(visitor, 1, sweepable=True)
    assert pod["pod"] == made
    swept = visitor.http.post("/api/pods/sweep", timeout=90).json()["swept"]

    assert [(one["pod_id"], one["outcome"]) for one in swept] == [(made, "terminated")]
    assert seen(visitor, 0) == []


@pytest.mark.slow
def test_without_a_tab_runpod_is_not_asked(
    home: Home, cloud: Cloud, launch: Callable[..., Page]
) -> None:
    visitor = launch().visitor()
    with visitor.live():
        until(lambda: visitor.get("/api/pods")["at_ms"] is not None, "it was asked once")

    def quiet() -> bool:
        """Ask the page for longer than it waits to look; tell whether it did."""
        before, past = len(cloud.history), time.monotonic() + NEAR_S + 1
        until(lambda: bool(visitor.get("/api/pods")) and time.monotonic() > past, every_s=0.2)
        return len(cloud.history) == before

    until(quiet, "nothing is asked once the page has noticed that its tab is gone")


@pytest.mark.slow
def test_what_runpod_refuses_is_told_and_the_page_goes_on(
    home: Home, cloud: Cloud, launch: Callable[..., Page]
) -> None:
    home.env["CAPTIV_RUNPOD_API_KEY"] = home.env["RUNPOD_API_KEY"] = "rpa_WRONG"
    visitor = launch().visitor()

    with visitor.live():
        until(lambda: visitor.get("/api/pods")["error"] is not None, "the refusal is told")
    answer = visitor.http.delete("/api/pods/abc", timeout=60)

    assert visitor.get("/api/pods")["error"]["code"] == "key_refused"
    assert answer.status_code == 502
    assert answer.json()["code"] == "key_refused"
    assert visitor.get("/api/folders")["folders"]


@pytest.mark.slow
def test_without_a_key_the_page_says_what_to_do(page: Page, visitor: Visitor) -> None:
    told = visitor.get("/api/pods")
    refused = visitor.http.post("/api/pods", json={})

    assert (told["key"], told["pods"]) == (False, [])
    assert refused.status_code == 409
    assert "captiv config set runpod.api_key" in refused.json()["hint"]
