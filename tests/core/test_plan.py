from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.plan import assign, need_of
from captiv.core.spec import Captioning, Placement, RunSpec, Selection


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
    return Run(
        RunId(number), RunState.ACTIVE, spec, spec.fingerprint(), 0, scanned, 0, None, counts
    )


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
    assert sum(a.need.kind == "local" for a in assign(runs)) <= 1


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


def test_a_run_that_has_ended_frees_the_device_for_the_next() -> None:
    ended = replace(run(1, model="shapes"), counts=Counts(done=5))

    assert [a.runs for a in assign([ended, run(2)])] == [(2,)]
