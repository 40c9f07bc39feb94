from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core.phase import Phase, Step, loading_phase
from captiv.core.pods import PodState
from captiv.core.startup import GivenUp, Seen, Start, Waiting
from captiv.wire import Health, Loading


def worker(status: Any = "loading", done: int | None = None, total: int | None = None) -> Health:
    loading = Loading(phase="downloading", done_bytes=done, total_bytes=total)
    return Health(status=status, worker="w", boot_id="b", loading=loading)


WAITING = Waiting(began_s=1000, timeout_s=600)
SEEN = st.builds(
    Seen,
    st.sampled_from(
        [
            None,
            PodState.PROVISIONING,
            PodState.STARTING,
            PodState.RUNNING,
            PodState.UNKNOWN,
        ]
    ),
    st.booleans(),
    st.none() | st.builds(worker, done=st.integers(0, 100), total=st.sampled_from([0, 100])),
    st.booleans(),
    st.none() | st.floats(0, 3000),
    st.integers(0, 2),
)


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        (Seen(), Phase(Step.RENTING)),
        (Seen(PodState.PROVISIONING), Phase(Step.RENTING)),
        (Seen(PodState.RUNNING), Phase(Step.PULLING)),
        (Seen(PodState.STARTING), Phase(Step.PULLING)),
        (Seen(PodState.RUNNING, started=True), Phase(Step.STARTING)),
        (Seen(PodState.RUNNING, pulling=True), Phase(Step.PULLING)),
        (Seen(pulling=True), Phase(Step.PULLING)),
        (Seen(started=True), Phase(Step.STARTING)),
        (Seen(PodState.RUNNING, started=True, health=worker()), Phase(Step.DOWNLOADING)),
        (
            Seen(PodState.RUNNING, True, worker(done=430, total=1000)),
            Phase(Step.DOWNLOADING, 430, 1000),
        ),
    ],
)
def test_the_phase_is_what_was_seen(seen: Seen, phase: Phase) -> None:
    after = WAITING.look(seen, 1001)

    assert (after.phase, after.start) == (phase, Start.WAIT)


@pytest.mark.parametrize(
    ("word", "step"),
    [
        ("starting", Step.LOADING),
        ("resolving", Step.RESOLVING),
        ("downloading", Step.DOWNLOADING),
        ("warming", Step.WARMING),
        ("installing", Step.INSTALLING),
        ("dreaming of sheep", Step.LOADING),
    ],
)
def test_a_word_of_a_worker_that_is_not_known_is_loading(word: str, step: Step) -> None:
    assert loading_phase(Loading(phase=word, done_bytes=1, total_bytes=2)) == Phase(step, 1, 2)
    assert loading_phase(None) == Phase(Step.LOADING)


def test_a_percentage_is_known_with_the_bytes_and_never_above_100() -> None:
    percents = [Phase(Step.DOWNLOADING, done, 1000).percent for done in (0, 430, 1200)]

    assert percents == [0, 43, 100]
    assert Phase(Step.DOWNLOADING, 5).percent is None


def test_only_the_workers_own_word_makes_it_ready() -> None:
    after = WAITING.look(Seen(PodState.RUNNING, health=worker("ready")), 5000)

    assert (after.phase, after.start) == (Phase(Step.READY), Start.READY)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Seen(PodState.RUNNING, True, restarts=3), "crashed 3 times"),
        (
            Seen(PodState.RUNNING, True, restarts=3, last_words="ImportError: no captiv"),
            "crashed 3 times while starting (ImportError: no captiv)",
        ),
        (Seen(PodState.RUNNING, pulling=True, trouble="no such image"), "no such image"),
        (Seen(PodState.STOPPED), "stopped"),
        (Seen(PodState.ENDED), "ended"),
        (Seen(PodState.FAILED), "failed"),
        (Seen(PodState.RUNNING, True, worker("failed")), "failed"),
        (
            Seen(health=worker("failed").model_copy(update={"reason": "It does not fit."})),
            "It does not fit.",
        ),
    ],
)
def test_what_will_never_be_ready_is_given_up_at_once(seen: Seen, said: str) -> None:
    after = WAITING.look(seen, 1001)

    assert after.start is Start.GIVE_UP
    assert after.given_up is not None
    assert said in after.given_up.reason


NOT_INSTALLED = "captiv cannot be installed in it:"


def failed(code: str | None) -> Seen:
    return Seen(health=worker("failed").model_copy(update={"reason": "No.", "code": code}))


@pytest.mark.parametrize(
    ("seen", "alike"),
    [
        (failed("model_unavailable"), True),
        (failed("host_unfit"), False),
        (failed("engine_failed"), False),
        (failed("guard_refused"), False),
        (failed(None), False),
        (Seen(trouble="its image cannot be pulled: pull access denied for x/y"), True),
        (Seen(trouble="its image cannot be pulled: manifest for x:1 not found"), True),
        (Seen(trouble="its image cannot be pulled: unexpected EOF"), False),
        (Seen(trouble="its image cannot be pulled: mkdir /var/lib: permission denied"), False),
        (Seen(trouble="its image cannot be pulled: lookup docker.io: server not found"), False),
        (Seen(trouble="its image cannot be pulled: unauthorized: authentication required"), True),
        (Seen(trouble="its image cannot be pulled: no matching manifest for linux/arm64"), False),
        (Seen(trouble=f"{NOT_INSTALLED} the image has Python 3.9; captiv needs 3.11"), True),
        (Seen(trouble=f"{NOT_INSTALLED} Package 'captiv' requires a different Python: 3.1"), True),
        (Seen(trouble=f"{NOT_INSTALLED} /usr/bin/python: No module named pip"), True),
        (Seen(trouble=f"{NOT_INSTALLED} No captiv==9 (from versions: 0.1, 0.2)"), True),
        (Seen(trouble=f"{NOT_INSTALLED} [Errno 28] No space left on device: '/x'"), True),
        (Seen(trouble=f"{NOT_INSTALLED} No captiv==9 (from versions: none)"), None),
        (Seen(trouble=f"{NOT_INSTALLED} HTTPSConnectionPool: Max retries exceeded"), None),
        (Seen(PodState.ENDED, trouble=f"{NOT_INSTALLED} No module named pip"), True),
        (Seen(PodState.ENDED), False),
        (Seen(restarts=3, last_words="ModuleNotFoundError: no captiv"), None),
    ],
)
def test_only_what_every_host_would_end_in_is_alike(seen: Seen, alike: bool | None) -> None:
    after = WAITING.look(seen, 1001)

    assert after.given_up is not None
    assert after.given_up.alike is alike


def test_a_pod_that_is_only_slow_is_its_hosts_fault() -> None:
    after = WAITING.look(Seen(PodState.RUNNING), 1600)

    assert after.given_up is not None
    assert after.given_up.alike is False


def test_a_silent_pod_is_given_up_after_the_limit() -> None:
    pulling = WAITING.look(Seen(PodState.RUNNING), 1599)
    assert pulling.start is Start.WAIT

    after = pulling.look(Seen(PodState.RUNNING), 1600)

    assert after.start is Start.GIVE_UP
    assert after.given_up == GivenUp("it was not ready after 600 s (last seen: pulling the image)")


def test_a_pull_that_advances_has_twice_the_time() -> None:
    def look(waiting: Waiting, now: float) -> Waiting:
        return waiting.look(Seen(PodState.RUNNING, progress_s=now - 5), now)

    assert look(WAITING, 2199).start is Start.WAIT
    assert look(look(WAITING, 2199), 2200).start is Start.GIVE_UP


def test_a_pull_that_stalls_after_the_limit_is_given_up() -> None:
    pulling = WAITING.look(Seen(PodState.RUNNING, progress_s=1650), 1651)
    assert pulling.look(Seen(PodState.RUNNING, progress_s=1650), 1710).start is Start.WAIT

    assert pulling.look(Seen(PodState.RUNNING, progress_s=1650), 1711).start is Start.GIVE_UP


def test_a_download_of_the_worker_is_an_advance_only_while_it_grows() -> None:
    def look(waiting: Waiting, done: int, now: float) -> Waiting:
        return waiting.look(Seen(PodState.RUNNING, True, worker(done=done, total=9)), now)

    growing = look(look(WAITING, 1, 1590), 2, 1640)
    assert growing.start is Start.WAIT

    assert look(growing, 2, 1700).start is Start.WAIT
    assert look(growing, 2, 1701).start is Start.GIVE_UP


GB = 1000**3


def arriving(mbit_s: float, total: int, for_s: int, *, image: bool) -> tuple[Waiting, int]:
    """Look every 5 s at a pod that fetches so much at that rate; return the last state and time."""
    waiting = Waiting(began_s=0, timeout_s=1200)
    for now_s in range(0, for_s, 5):
        done = min(total, int(mbit_s * 1e6 / 8 * now_s))
        health = None if image else worker(done=done, total=total)
        pulled = (done, total) if image else None
        seen = Seen(PodState.RUNNING, health=health, pulling=image, pulled=pulled)
        waiting = waiting.look(replace(seen, progress_s=now_s), now_s)
        if waiting.start is not Start.WAIT:
            return waiting, now_s
    return waiting, for_s


@pytest.mark.parametrize("image", [True, False])
def test_a_large_model_at_a_usual_rate_is_waited_for(image: bool) -> None:
    waiting, _ = arriving(200, 17 * GB, 17 * 8 * 1000 // 200, image=image)
    assert waiting.start is Start.WAIT

    slower, _ = arriving(70, 17 * GB, 17 * 8 * 1000 // 70, image=image)
    assert slower.start is Start.WAIT, "it ends within twice the time"


@pytest.mark.parametrize("image", [True, False])
def test_a_host_that_is_too_slow_is_left_after_three_minutes_and_its_rate_said(image: bool) -> None:
    waiting, at_s = arriving(20, 17 * GB, 2000, image=image)

    assert waiting.start is Start.GIVE_UP
    assert 180 <= at_s <= 240
    assert waiting.given_up is not None
    assert "16.5 GB to go at 20.0 Mbit/s" in waiting.given_up.reason
    assert waiting.given_up.alike is False


def test_a_line_that_is_slow_for_a_moment_costs_no_host() -> None:
    waiting, done = Waiting(began_s=0, timeout_s=1200), 0.0
    for now_s in range(0, 900, 5):
        mbit_s = 5 if 200 <= now_s < 300 else 200
        done += mbit_s * 1e6 / 8 * 5
        waiting = waiting.look(Seen(health=worker(done=int(done), total=17 * GB)), now_s)
        if done >= 17 * GB:
            break

    assert waiting.start is Start.WAIT


@given(st.lists(st.tuples(SEEN, st.floats(0, 500)), max_size=20))
def test_waiting_ends_within_twice_the_limit_and_stays_ended(
    looks: list[tuple[Seen, float]],
) -> None:
    waiting, now = WAITING, WAITING.began_s
    for seen, pause in looks:
        now += pause
        after = waiting.look(seen, now)
        if waiting.start is not Start.WAIT:
            assert after == waiting
        waited = now - WAITING.began_s
        if after.start is Start.WAIT:
            assert waited < 1200
        if waited < 600:
            assert after.start is Start.WAIT
        assert (after.given_up is not None) == (after.start is Start.GIVE_UP)
        waiting = after
