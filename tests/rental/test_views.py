"""Pods as they are shown: phase, cost, queue and note."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from captiv.clock import now_ms
from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.pods import PodRow, PodRowId, PodState
from captiv.core.spec import Captioning, RunSpec, Selection
from captiv.rental.provider import Pod
from captiv.rental.views import Known, View, as_json, duration, label_of, note, pool, queue
from captiv.wire import Health

HOUR_MS = 3_600_000
SPEC = RunSpec(
    selection=Selection(roots=("/x",)), captioning=Captioning(model="m", variant="v", source="s")
)


def pod(**more: Any) -> Pod:
    given: dict[str, Any] = {
        "id": "p1",
        "name": "captiv-runpod-0123456789ab-r7-t",
        "state": PodState.RUNNING,
        "said": "RUNNING",
        "price_usd_h": Decimal("0.36"),
        "created_ms": now_ms() - HOUR_MS,
        "started": True,
        "gpu": "NVIDIA L4",
        "cloud": "secure",
    }
    return Pod(**given | more)


def health(status: Any) -> Health:
    return Health(status=status, worker="w", boot_id="b")


def row(**more: Any) -> PodRow:
    given: dict[str, Any] = {
        "id": PodRowId(1),
        "provider": "runpod",
        "name": "captiv-runpod-0123456789ab-r7-t",
        "pod_id": "p1",
        "state": "live",
        "made_by": "run",
        "run_id": RunId(7),
        "lingers": False,
        "gpu": "NVIDIA L4",
        "cloud": "secure",
        "price_micro": 720_000,
        "version": "1",
        "url": "",
        "deadline_ms": None,
        "intended_ms": 0,
        "created_ms": 0,
        "ended_ms": None,
        "end_reason": None,
    }
    return PodRow(**given | more)


def seen(known: Known | None = None, *, ours: bool = True, **more: Any) -> View:
    answer = more.pop("health", None)
    return View(pod(**more), known or Known(), ours, answer)


@pytest.mark.parametrize(
    ("view", "phase"),
    [
        (seen(health=health("ready")), "ready"),
        (seen(health=health("loading")), "loading the model"),
        (seen(health=health("failed")), "failed"),
        (seen(started=False), "pulling the image"),
        (seen(), "starting the container"),
        (seen(state=PodState.PROVISIONING, started=False), "renting"),
        (seen(state=PodState.STOPPED), "stopped"),
        (seen(state=PodState.FAILED), "failed"),
        (seen(ours=False), "running"),
    ],
)
def test_how_far_a_pod_is_comes_from_its_worker_and_its_provider(view: View, phase: str) -> None:
    assert view.phase == phase


def test_what_a_pod_has_cost_goes_by_the_ledgers_price_where_it_has_one() -> None:
    assert round(seen().spent or 0, 2) == Decimal("0.36")
    assert round(seen(Known(row())).spent or 0, 2) == Decimal("0.72")
    assert seen(state=PodState.STOPPED).spent is None
    assert seen(created_ms=None).spent is None


def test_the_queue_behind_a_pod_is_that_of_all_its_runs() -> None:
    run = Run(RunId(7), RunState.ACTIVE, SPEC, "f", True, 0, None, Counts(done=1200, pending=30))
    view = replace(seen(Known(row(), users=(run,))), images_per_s=2.0)

    assert (view.done, view.waiting, view.left_s) == (1200, 30, 15)
    assert queue(view) == "run 7: 1,200 done, 30 waiting, 2.0 images/s, 15 s left"
    assert queue(seen()) == ""


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (seen(Known(row(), "nobody needs it")), "orphan: nobody needs it"),
        (seen(ours=False, name="my pod"), "not captiv's"),
        (seen(ours=False), "of another installation of captiv"),
        (seen(Known(row())), "rented by run 7"),
        (seen(Known(row(made_by="hand", run_id=None))), "made by hand"),
        (seen(), ""),
    ],
)
def test_what_else_is_to_be_known_of_a_pod_is_said(view: View, said: str) -> None:
    assert note(view) == said


def test_json_has_the_providers_word_and_captivs_own() -> None:
    told = as_json(seen(Known(row()), health=health("ready")))

    assert (told["status"], told["phase"], told["run"]) == ("RUNNING", "ready", 7)
    assert (told["price_usd_h"], told["cloud"], told["billed_by_provider_usd"]) == (
        0.36,
        "secure",
        None,
    )


def test_a_pool_of_hosts_is_named_where_there_are_several() -> None:
    assert (pool("secure"), pool("")) == (", secure cloud", "")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "unknown"), (45, "45 s"), (600, "10 min"), (12_000, "3 h 20 min")],
)
def test_a_time_is_said_as_a_person_reads_it(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_what_a_person_called_a_pod_is_read_from_its_name() -> None:
    assert label_of("captiv-runpod-0123456789ab-hand-mine-6d44971e") == "mine"
    assert label_of("captiv-0123456789ab-hand-mine-6d44971e") == "mine"
    assert label_of("captiv-runpod-0123456789ab-hand-6d44971e") is None
    assert label_of("captiv-runpod-0123456789ab-r7-t") is None
