"""How long a worker may give nothing, with the clock given."""

import math

import pytest

from captiv.core.quiet import Due, Patience, Quiet, Unheard

PATIENCE = Patience(warning_s=60, limit_s=120, first_s=1800)


def captioning(*gaps_s: float) -> tuple[Quiet, float]:
    """Return a silence that begins after captions with these gaps, and when it begins."""
    now_s, silence = 1000.0, Quiet(PATIENCE).sent(1000.0)
    for gap_s in gaps_s:
        now_s += gap_s
        silence = silence.heard(now_s, more=True)
    return silence, now_s


@pytest.mark.parametrize(
    ("gaps_s", "said_s", "ended_s"),
    [
        ([0.5, 2], 60, 120),
        ([0.5, 11.9], 60, 120),
        ([0.5, 20, 1], 100, 200),
        ([50], 250, 500),
    ],
)
def test_a_silence_is_measured_by_the_longest_gap_so_far_and_has_floors(
    gaps_s: list[float], said_s: float, ended_s: float
) -> None:
    silence, from_s = captioning(*gaps_s)

    assert silence.due(from_s + said_s - 0.1) is Due.NOTHING
    assert silence.due(from_s + said_s) is Due.SAY
    silence = silence.told()
    assert silence.due(from_s + ended_s - 0.1) is Due.NOTHING, "it is said once"
    assert silence.due(from_s + ended_s) is Due.END


def test_the_first_caption_of_a_life_may_take_long() -> None:
    silence = Quiet(PATIENCE).sent(0.0)

    assert silence.due(60) is Due.SAY
    assert silence.told().due(1799) is Due.NOTHING
    assert silence.due(1800) is Due.END


def test_a_worker_without_images_is_not_silent() -> None:
    assert Quiet(PATIENCE).due(1e9) is Due.NOTHING
    silence, now_s = captioning(1)
    assert silence.heard(now_s, more=False).due(1e9) is Due.NOTHING
    assert silence.empty().due(1e9) is Due.NOTHING


def test_an_image_that_comes_later_does_not_begin_the_silence_anew() -> None:
    silence, from_s = captioning(1)

    assert silence.sent(from_s + 100).due(from_s + 120) is Due.END


def test_time_that_tells_nothing_is_not_counted_and_a_gap_is_no_shorter_for_it() -> None:
    silence, from_s = captioning(1)
    silence = silence.told().anew(from_s + 119)

    assert silence.due(from_s + 120) is Due.NOTHING
    assert silence.due(from_s + 119 + 60) is Due.SAY
    assert silence.longest_s == 1


def test_the_next_look_is_when_something_may_have_to_be_done() -> None:
    silence, from_s = captioning(1)

    assert silence.next_s(from_s + 10) == 50
    assert silence.told().next_s(from_s + 70) == 50
    assert silence.next_s(from_s + 500) == 0
    assert silence.empty().next_s(from_s) == math.inf


def test_a_worker_that_alone_is_silent_has_its_limit() -> None:
    silent = Unheard(since_s=100, limit_s=60, until_s=940)

    assert silent.look(130, down=False).left_s(130) == 30
    assert silent.left_s(161) < 0


def test_a_worker_is_waited_for_while_its_network_is_down_and_no_longer_than_it_may_live() -> None:
    silent = Unheard(since_s=100, limit_s=60, until_s=940)

    for now_s in range(110, 900, 10):
        silent = silent.look(now_s, down=True)
        assert silent.left_s(now_s) > 0
    assert silent.look(940, down=True).left_s(940) == 0


def test_once_others_are_heard_again_a_silent_worker_has_its_usual_time() -> None:
    silent = Unheard(since_s=100, limit_s=60, until_s=940)
    silent = silent.look(400, down=True).look(405, down=False)

    assert silent.left_s(405) == 55
    assert silent.left_s(461) < 0
