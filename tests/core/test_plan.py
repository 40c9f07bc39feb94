from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.plan import assign, need_of
from captiv.core.spec import Captioning, Placement, RunSpec, Selection, Site


def run(
    number: int,
    *,
    model: str = "blip",
    url: str | None = None,
    pending: int = 1,
    running: int = 0,
    scanned: bool = True,
) -> Run:
    placement = Placement(kind="url" if url else "local", url=url)
    spec = RunSpec(
        selection=Selection(roots=(f"/{number}",)),
        captioning=Captioning(model=model, variant=model, source=model),
        placement=placement,
    )
    counts = Counts(pending=pending, running=running)
    return Run(RunId(number), RunState.ACTIVE, spec, spec.fingerprint(), scanned, 0, None, counts)


RUNS = st.lists(
    st.builds(
        run,
        st.integers(1, 10_000),
        model=st.sampled_from(["blip", "shapes"]),
        url=st.sampled_from([None, "https://one", "https://two"]),
        pending=st.integers(0, 2),
        running=st.integers(0, 2),
        scanned=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda r: r.id,
)


@given(RUNS)
def test_one_local_worker_at_a_time(runs: list[Run]) -> None:
    assert sum(a.need.on("local") for a in assign(runs)) <= 1


@given(RUNS)
def test_every_need_is_served_once_by_all_its_runs_in_order(runs: list[Run]) -> None:
    served = assign(runs)

    assert len({a.need for a in served}) == len(served)
    for assignment in served:
        wanting = [
            r.id
            for r in runs
            if need_of(r) == assignment.need
            and (r.counts.pending or r.counts.running or not r.scanned)
        ]
        assert list(assignment.runs) == wanting


@given(RUNS)
def test_a_run_with_something_to_do_elsewhere_is_always_served(runs: list[Run]) -> None:
    served = {i for a in assign(runs) for i in a.runs}

    assert all(r.id in served for r in runs if r.spec.placement.url and r.counts.pending)


def test_the_first_local_need_has_the_device() -> None:
    runs = [run(1, model="shapes"), run(2), run(3, model="shapes")]

    assert [a.runs for a in assign(runs)] == [(1, 3)]


def rented(number: int, pods: int, **more: Any) -> Run:
    one = run(number, **more)
    placement = Placement(kind="rented", provider="runpod", pods=pods)
    return replace(one, spec=one.spec.model_copy(update={"placement": placement}))


def lanes(*runs: Run, opened: int = 0, given_up: int = 0) -> int:
    """Return how many lanes there should be."""
    (assignment,) = assign(runs)
    site = assignment.sites[0]
    return opened + len(assignment.to_open({site: opened}, {site: given_up}))


def test_as_many_lanes_open_as_pods_were_asked_for() -> None:
    assert lanes(rented(1, 3, pending=500)) == 3
    assert lanes(rented(1, 2), rented(2, 3, pending=500)) == 3
    assert lanes(run(1, pending=500)) == 1, "this machine has one device"


def test_no_lane_opens_without_an_image_for_it() -> None:
    assert lanes(rented(1, 3, pending=2)) == 2
    assert lanes(rented(1, 3, pending=0, running=5), opened=1) == 1
    assert lanes(rented(1, 3, pending=1, scanned=False)) == 3, "more are being found"


def test_a_lane_opens_beside_others_only_for_much_work() -> None:
    assert lanes(rented(1, 3, pending=150), opened=1) == 1
    assert lanes(rented(1, 3, pending=250), opened=1) == 2
    assert lanes(rented(1, 3, pending=9000), opened=1) == 3


def test_a_lane_that_was_given_up_is_not_opened_again() -> None:
    assert lanes(rented(1, 3, pending=9000), opened=1, given_up=1) == 2
    assert lanes(rented(1, 3, pending=9000), opened=1, given_up=2) == 1


def test_pods_and_their_end_are_no_part_of_the_need() -> None:
    assert need_of(rented(1, 1)) == need_of(rented(1, 5))


def test_a_run_that_has_ended_frees_the_device_for_the_next() -> None:
    ended = replace(run(1, model="shapes"), counts=Counts(done=5))

    assert [a.runs for a in assign([ended, run(2)])] == [(2,)]


def test_pods_of_two_providers_are_two_needs() -> None:
    def at(provider: str) -> Run:
        spec = run(1).spec
        placement = Placement(kind="rented", provider=provider)
        return replace(run(1), spec=spec.model_copy(update={"placement": placement}))

    assert need_of(at("runpod")) != need_of(at("other"))


CPU, BOX = Site(device="cpu"), Site(kind="url", url="https://box")
POD = Site(kind="rented", provider="runpod")


def several(number: int, *beside: Site, pods: int = 1, **more: Any) -> Run:
    """Return a run on rented pods, with workers beside them."""
    one = rented(number, pods, **more)
    placement = one.spec.placement.model_copy(update={"beside": beside})
    return replace(one, spec=one.spec.model_copy(update={"placement": placement}))


def test_workers_open_at_every_site_and_those_that_cost_nothing_first() -> None:
    (assignment,) = assign([several(1, CPU, CPU, BOX, pods=2, pending=900)])

    assert assignment.to_open({}, {}) == [BOX, CPU, CPU, POD, POD]
    assert assignment.to_open({BOX: 1, CPU: 1}, {POD: 1}) == [CPU, POD]
    (few,) = assign([several(1, CPU, BOX, pods=2, pending=2)])
    assert few.to_open({}, {}) == [BOX, CPU]


def test_a_run_beside_another_one_s_worker_here_goes_on_elsewhere() -> None:
    runs = [run(1, pending=5), several(2, CPU, BOX, pending=5), run(3, url="https://box")]

    assert [a.sites for a in assign(runs)] == [(Site(),), (BOX, POD), (BOX,)]
    assert [a.sites for a in assign(runs[1:2])] == [(BOX, CPU, POD)]


def test_the_order_in_which_workers_are_named_is_no_part_of_the_need() -> None:
    assert need_of(several(1, CPU, BOX)) == need_of(several(2, BOX, CPU, CPU))
    assert need_of(several(1, CPU)) != need_of(several(1, BOX))
