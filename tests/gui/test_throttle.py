from captiv.gui.throttle import LONGEST_FOR_ALL_S, LONGEST_S, Throttle


def test_each_wrong_try_of_a_remote_doubles_its_wait() -> None:
    throttle, now, waits = Throttle(), 0.0, []
    for _ in range(5):
        waits.append(throttle.wrong("a", now))
        now += waits[-1]

    assert waits == [1, 2, 4, 8, 16]
    assert throttle.wait_s("a", now) == 0
    assert throttle.wait_s("a", now - 1) == 1
    assert throttle.wait_s("b", now - 1) == 0


def test_no_wait_is_longer_than_the_longest() -> None:
    throttle, now = Throttle(), 0.0
    for _ in range(40):
        now += throttle.wrong("a", now)

    assert throttle.wrong("a", now) == LONGEST_S


def test_many_remotes_slow_each_other() -> None:
    throttle = Throttle()
    for n in range(10):
        throttle.wrong(f"{n}", 0.0)
    assert throttle.wait_s("new", 0.0) == 0

    waits = [throttle.wrong(f"other {n}", 0.0) for n in range(20)]

    assert waits[0] == 1
    assert throttle.wait_s("new", 0.0) == LONGEST_FOR_ALL_S


def test_all_are_forgiven_after_ten_quiet_minutes() -> None:
    throttle = Throttle()
    for n in range(30):
        throttle.wrong(f"{n}", 0.0)

    throttle.wrong("later", 601.0)

    assert throttle.wait_s("new", 601.0) == 0


def test_who_got_in_waits_no_more() -> None:
    throttle = Throttle()
    throttle.wrong("a", 0.0)

    throttle.right("a")

    assert throttle.wait_s("a", 0.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for n in range(5_000):
        throttle.wrong(f"{n}", float(n * 1000))

    assert len(throttle._remotes) == 1000
