"""The time by which a guard reckons its deadline."""

import math
import threading
import time

from captiv_worker.guard.calendar import Calendar

from .conftest import until

URL = "https://provider"


def test_no_deadline_is_reached_before_the_provider_was_asked_and_then_its_time_counts() -> None:
    answer = threading.Event()

    def ask(url: str) -> float:
        assert url == URL
        answer.wait(60)
        return time.time() + 86_400

    calendar = Calendar(URL, ask=ask)
    assert calendar.epoch_s() == -math.inf

    answer.set()
    until(lambda: calendar.epoch_s() > 0)
    assert abs(calendar.epoch_s() - time.time() - 86_400) < 5


def test_an_answer_that_never_comes_keeps_no_deadline_from_being_reached() -> None:
    never = threading.Event()

    def ask(url: str) -> None:
        never.wait(60)

    calendar = Calendar(URL, ask=ask, patience_s=0.2)
    try:
        assert calendar.epoch_s() == -math.inf
        until(lambda: calendar.epoch_s() > 0)
        assert abs(calendar.epoch_s() - time.time()) < 5
    finally:
        never.set()


def test_without_a_provider_this_hosts_clock_has_to_do() -> None:
    assert abs(Calendar(None).epoch_s() - time.time()) < 5
