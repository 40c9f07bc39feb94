import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv import errors
from captiv.core.jobs import Job, JobId, PastFailure, RunId, Stamp
from captiv.core.retry import (
    AGAIN_TEMPERATURE,
    CRASH_LIMIT,
    MAX_TRIES,
    Death,
    Verdict,
    again,
    asked_with,
    verdict,
)
from captiv.wire import Generation

CHARGES = st.tuples(st.integers(0, 10), st.integers(0, 10))
RETRIES = st.integers(0, 5)


def charged(breaks: int, misses: int, id: int = 1) -> Job:
    return Job(JobId(id), RunId(1), "/a.png", "/a.txt", 1, breaks + misses, 0, False, misses)


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [errors.ImageUnreadable("x"), errors.ImageMissing("x"), errors.ImageTooLarge("x")],
)
@given(charges=CHARGES, retries=RETRIES)
def test_what_is_plainly_the_images_fault_fails_it(
    error: errors.CaptivError, charges: tuple[int, int], retries: int
) -> None:
    assert verdict(error, charged(*charges), retries) is Verdict.FAIL


@given(st.integers(0, 5), RETRIES)
def test_an_engine_that_breaks_on_an_image_is_tried_once_more(misses: int, retries: int) -> None:
    verdicts = [
        verdict(errors.EngineFailed("x"), charged(breaks, misses), retries)
        for breaks in range(2 * MAX_TRIES)
    ]

    assert verdicts == [Verdict.TRY_AGAIN, Verdict.FAIL] * 2, "a round, and another when asked for"


@given(st.integers(0, 5), RETRIES)
def test_an_answer_that_is_no_caption_is_tried_again_so_often(breaks: int, retries: int) -> None:
    verdicts = [
        verdict(errors.AnswerError("x"), charged(breaks, misses), retries)
        for misses in range(2 * (retries + 1))
    ]

    assert verdicts == ([Verdict.TRY_AGAIN] * retries + [Verdict.FAIL]) * 2


@pytest.mark.parametrize(
    "error",
    [
        errors.WorkerUnreachable("x"),
        errors.WorkerNotReady("x"),
        errors.WorkerRefused("x"),
        errors.WorkerMismatch("x"),
        errors.WorkerRejected("x"),
        errors.NoWorker("x"),
        errors.StoreFull("x"),
        errors.StoreBusy("x"),
        errors.ConfigurationError("x"),
        errors.ModelError("x"),
    ],
)
@given(charges=CHARGES, retries=RETRIES)
def test_what_is_not_the_images_fault_costs_it_nothing(
    error: errors.CaptivError, charges: tuple[int, int], retries: int
) -> None:
    assert verdict(error, charged(*charges), retries) is Verdict.RELEASE


def test_two_crashes_end_a_suspect_and_a_kill_weighs_half() -> None:
    assert 2 * Death.CRASHED.weight >= CRASH_LIMIT > Death.CRASHED.weight
    assert 2 * Death.KILLED.weight == Death.CRASHED.weight


# -- the next try ----------------------------------------------------------------------------------

GREEDY = Generation(max_new_tokens=64, num_beams=3, temperature=0.0)


def test_only_an_answer_that_was_no_caption_changes_the_settings() -> None:
    assert asked_with(GREEDY, charged(0, 0)) == GREEDY
    assert asked_with(GREEDY, charged(1, 0)) == GREEDY


def test_a_greedy_run_tries_again_by_sampling() -> None:
    again = asked_with(GREEDY, charged(0, 1))

    assert again.temperature == AGAIN_TEMPERATURE
    assert again.num_beams == 1
    assert again.max_new_tokens == 64
    assert again.seed is not None


def test_what_was_sampled_keeps_its_ways_and_gets_another_seed() -> None:
    hot = Generation(temperature=0.9, top_p=0.7, top_k=10, seed=5)

    again = asked_with(hot, charged(0, 1))

    assert again == hot.model_copy(update={"num_beams": 1, "seed": again.seed})
    assert again.seed != 5


@given(st.sampled_from([None, 5]), st.integers(0, 3), st.integers(1, 9))
def test_a_try_asks_for_the_same_whenever_it_is_made_and_each_try_for_something_else(
    seed: int | None, breaks: int, misses: int
) -> None:
    asked = GREEDY.model_copy(update={"seed": seed})

    seeds = {asked_with(asked, charged(breaks, n)).seed for n in range(1, misses + 1)}

    assert len(seeds) == misses
    assert asked_with(asked, charged(breaks, misses)) == asked_with(asked, charged(breaks, misses))


def test_with_a_persons_seed_a_try_does_not_depend_on_the_job() -> None:
    seeded = GREEDY.model_copy(update={"seed": 5})

    assert asked_with(seeded, charged(0, 1, id=1)) == asked_with(seeded, charged(0, 1, id=2))
    assert asked_with(GREEDY, charged(0, 1, id=1)) != asked_with(GREEDY, charged(0, 1, id=2))


STAMPS = st.none() | st.builds(Stamp, st.integers(0, 2), st.integers(0, 2))
ASKS = st.sampled_from(["this", "that"])
LASTING = ["image_unreadable", "image_too_large", "image_crashes", "degenerate", "image_refused"]
MENDING = [
    *("image_missing", "engine_failed", "worker", "worker_unreachable", "no_worker"),
    *("sidecar_shared", "folder_unreadable", "one of a later version"),
]


@given(st.sampled_from(LASTING), STAMPS, STAMPS, st.none() | ASKS, ASKS)
def test_what_lasts_is_tried_again_only_if_the_file_or_the_ask_changed(
    code: str, then: Stamp | None, now: Stamp | None, asked_then: str | None, asked_now: str
) -> None:
    changed = then != now or asked_then != asked_now
    unknown = then is None or now is None

    assert again(PastFailure(code, then, asked_then), now, asked_now) == (changed or unknown)


@given(st.sampled_from(MENDING), STAMPS, STAMPS, st.none() | ASKS, ASKS)
def test_what_time_may_mend_is_always_tried_again(
    code: str, then: Stamp | None, now: Stamp | None, asked_then: str | None, asked_now: str
) -> None:
    assert again(PastFailure(code, then, asked_then), now, asked_now)
