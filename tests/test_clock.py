"""The calendar of a test runs fast: in every process alike, and only where it is meant to."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from captiv.clock import monotonic_s, now_s, read_pace, steady_s, waiting_s
from captiv.testing.clock import FastClock
from tests.support import until

pytestmark = pytest.mark.allow_blocking

DAY_S = 86_400.0


@pytest.fixture
def clock(tmp_path: Path) -> FastClock:
    return FastClock(tmp_path / "clock", rate=1000)


def of_a_process(clock: FastClock, code: str, **env: str) -> list[float]:
    """Run this code in a process that goes by the clock; return the numbers that it prints."""
    line = [sys.executable, "-c", code]
    env = {**os.environ, **clock.environment, **env}
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def test_every_process_has_the_same_calendar_and_its_own_seconds(clock: FastClock) -> None:
    code = "from captiv.clock import *; print(now_s(), steady_s(), monotonic_s(), waiting_s(60))"
    fast, real = clock(), time.monotonic()
    now, steady, monotonic, waiting = of_a_process(clock, code)

    assert fast < now <= steady < clock()
    assert real < monotonic < time.monotonic()
    assert waiting == 0.06


def test_nobody_sleeps_over_a_change_of_the_rate(clock: FastClock) -> None:
    assert of_a_process(clock, "from captiv.clock import *; print(waiting_s(86_400))") == [0.1]


def test_a_machine_whose_clock_is_wrong_is_so_in_a_fast_calendar_too(clock: FastClock) -> None:
    code = "from captiv.clock import *; print(steady_s(), now_ms() / 1000, steady_s())"
    before, now, after = of_a_process(clock, code, CAPTIV_TEST_CLOCK_AHEAD_S=str(DAY_S))

    assert before < now - DAY_S < after


def test_nobody_s_time_goes_back_when_the_rate_changes(tmp_path: Path) -> None:
    clock, seen = FastClock(tmp_path / "clock"), [0.0]

    for rate in (5000.0, 1.0, 700.0, 2.0):
        clock.run(rate)
        until_s = time.monotonic() + 0.1
        while seen[-1] == 0.0 or time.monotonic() < until_s:
            seen.append(read_pace(tmp_path / "clock").epoch(time.monotonic()))

    assert seen == sorted(seen)


def test_it_is_known_when_it_was_a_time_of_the_calendar(clock: FastClock) -> None:
    moments = []
    for rate in (1.0, 500.0, 20.0):
        clock.run(rate)
        until(lambda: time.monotonic() > read_pace(clock.environment["CAPTIV_TEST_CLOCK"]).at_s)
        moments += [(time.time(), clock(), time.time())]

    for before, epoch_s, after in moments:
        assert before - 0.001 <= clock.real_s(epoch_s) <= after + 0.001


def test_without_a_test_the_calendar_is_the_machine_s() -> None:
    before = time.time(), time.monotonic()
    found = now_s(), steady_s()

    assert before <= found <= (time.time(), time.monotonic())
    assert before[1] <= found[1] <= monotonic_s()
    assert waiting_s(60) == 60


def test_a_fast_calendar_is_no_sleep_of_the_machine(clock: FastClock) -> None:
    code = """
from captiv.clock import now_ms
from captiv.rental.suspend import SleepWatch
watch = SleepWatch(now_ms)
watch.look()
until = now_ms() + 600_000
while now_ms() < until:
    pass
print(int(watch.look() is None))
"""
    assert of_a_process(clock, code) == [1]
