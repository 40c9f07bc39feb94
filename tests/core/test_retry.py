import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv import errors
from captiv.core.retry import CRASH_LIMIT, MAX_TRIES, Death, Verdict, verdict

TRIES = st.integers(0, 10)


@pytest.mark.parametrize(
    "error",
    [
        errors.ImageUnreadable("x"),
        errors.ImageMissing("x"),
        errors.ImageTooLarge("x"),
        errors.AnswerError("x"),
    ],
)
@given(tries=TRIES)
def test_what_is_plainly_the_images_fault_fails_it(error: errors.CaptivError, tries: int) -> None:
    assert verdict(error, tries) is Verdict.FAIL


@given(TRIES)
def test_an_engine_that_breaks_on_an_image_is_tried_once_more(tries: int) -> None:
    expected = Verdict.TRY_AGAIN if tries + 1 < MAX_TRIES else Verdict.FAIL

    assert verdict(errors.EngineFailed("x"), tries) is expected


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
@given(tries=TRIES)
def test_what_is_not_the_images_fault_costs_it_nothing(
    error: errors.CaptivError, tries: int
) -> None:
    assert verdict(error, tries) is Verdict.RELEASE


def test_two_crashes_end_a_suspect_and_a_kill_weighs_half() -> None:
    assert 2 * Death.CRASHED.weight >= CRASH_LIMIT > Death.CRASHED.weight
    assert 2 * Death.KILLED.weight == Death.CRASHED.weight
