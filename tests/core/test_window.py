from hypothesis import given
from hypothesis import strategies as st

from captiv.core.window import Window

WINDOWS = st.builds(Window.opening, st.integers(0, 300), st.integers(0, 1000))
EVENTS = st.lists(st.booleans(), max_size=200)


def after(window: Window, events: list[bool]) -> Window:
    for answered in events:
        window = window.answered() if answered else window.refused()
    return window


@given(WINDOWS, EVENTS)
def test_a_window_stays_between_one_and_the_permits(window: Window, events: list[bool]) -> None:
    last = after(window, events)

    assert 1 <= last.limit <= last.ceiling == window.ceiling


@given(st.integers(1, 300), st.integers(1, 1000))
def test_it_opens_at_two_batches_if_the_permits_allow(max_batch: int, permits: int) -> None:
    opened = Window.opening(max_batch, min(permits, 3 * max_batch))

    assert opened.limit == min(permits, 2 * max_batch)


def test_of_a_worker_that_holds_more_it_opens_at_two_thirds() -> None:
    window = Window.opening(8, 24)

    assert window.told(8, 48).limit == Window.opening(8, 48).limit == 32
    assert window.told(8, 48).told(8, 24).limit == 16


@given(WINDOWS, EVENTS)
def test_a_refusal_halves_it(window: Window, events: list[bool]) -> None:
    last = after(window, events)

    assert last.refused().limit == max(1, last.limit // 2)


def test_it_grows_by_one_for_each_full_round_of_answers() -> None:
    window = Window(limit=4, ceiling=6)

    assert after(window, [True] * 3).limit == 4
    assert after(window, [True] * 4).limit == 5
    assert after(window, [True] * 9).limit == 6
    assert after(window, [True] * 50).limit == 6


def test_images_take_the_batches_that_they_fill_after_the_one_that_has_begun() -> None:
    window = Window.opening(4, 16)

    assert [window.rounds(images) for images in (0, 1, 4, 5, 20)] == [1, 2, 2, 3, 6]


def test_larger_batches_open_it_further() -> None:
    window = Window.opening(8, 24)

    assert window.told(16, 48).limit == 32
    assert window.told(16, 48).ceiling == 48
    assert window.told(16, 20).limit == 20


def test_smaller_batches_close_it_no_further_than_the_permits() -> None:
    window = after(Window.opening(32, 96), [True] * 5000)

    assert window.limit == 96
    assert window.told(16, 48).limit == 48


def test_more_permits_do_not_undo_what_a_refusal_halved() -> None:
    window = Window.opening(8, 40).refused()

    for permits in (48, 40) * 20:
        window = window.told(8, permits)

    assert window.limit == Window.opening(8, 40).refused().limit == 13


def test_what_a_worker_says_does_not_keep_the_window_from_growing() -> None:
    window = Window(limit=4, ceiling=48, max_batch=8)

    for permits in (47, 48, 47, 48):
        window = window.told(8, permits).answered()

    assert window.limit == 5


@given(WINDOWS, EVENTS, st.integers(1, 300), st.integers(1, 1000))
def test_what_is_told_twice_changes_nothing(
    window: Window, events: list[bool], max_batch: int, permits: int
) -> None:
    told = after(window, events).told(max_batch, permits)

    assert 1 <= told.limit <= told.ceiling == permits
    refused = told.refused()
    assert refused.told(max_batch, permits) == refused
