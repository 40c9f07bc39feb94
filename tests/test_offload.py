"""Blocking calls on threads, and the clock."""

import threading
import time

import anyio
import pytest

from captiv.clock import monotonic_s, now_ms, now_s
from captiv.offload import offload


async def test_a_blocking_call_runs_beside_the_event_loop() -> None:
    assert await offload(threading.get_ident) != threading.get_ident()


async def test_an_error_comes_out_as_it_was_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await offload(lambda: 1 // 0)


async def test_a_cancellation_waits_for_a_call_that_was_begun() -> None:
    begun, done = threading.Event(), threading.Event()
    go_on = threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait(60)
        done.set()

    async with anyio.create_task_group() as tg:
        tg.start_soon(offload, call)
        while not begun.is_set():
            await anyio.sleep(0.001)
        tg.cancel_scope.cancel()
        go_on.set()
    assert done.is_set()


async def test_an_abandoned_call_is_left_to_its_thread() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait(60)

    async with anyio.create_task_group() as tg:
        tg.start_soon(lambda: offload(call, abandon_on_cancel=True))
        while not begun.is_set():
            await anyio.sleep(0.001)
        tg.cancel_scope.cancel()
    assert not go_on.is_set(), "the task ended while the call still waits"
    go_on.set()


async def test_a_limiter_bounds_how_many_run_at_once() -> None:
    limiter, lock = anyio.CapacityLimiter(2), threading.Lock()
    running, most = 0, 0
    two = threading.Barrier(2)

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        two.wait(60)
        with lock:
            running -= 1

    async with anyio.create_task_group() as tg:
        for _ in range(6):
            tg.start_soon(lambda: offload(call, limiter=limiter))
    assert most == 2


def test_the_clock_is_the_wall_clock_and_the_monotonic_one() -> None:
    before = time.time()
    assert before * 1000 - 1 <= now_ms() <= time.time() * 1000
    assert before <= now_s() <= time.time()
    first = monotonic_s()
    assert first <= time.monotonic() <= monotonic_s()
