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
    assert Window.opening(max_batch, permits).limit == min(permits, 2 * max_batch)


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
