from captiv.gui.pace import Pace


def test_the_pace_of_a_run_follows_from_when_its_captions_came() -> None:
    pace = Pace.of([(10_000, 4), (11_000, 6), (13_000, 2)])

    assert pace.samples == [(9_000, 0), (10_000, 4), (11_000, 10), (13_000, 12)]


def test_of_an_interrupted_run_it_is_the_last_stretch() -> None:
    pace = Pace.of([(10_000, 4), (11_000, 6), (900_000, 1), (901_000, 1)])

    assert pace.samples == [(899_000, 10), (900_000, 11), (901_000, 12)]


def test_a_long_run_is_thinned_and_keeps_its_beginning_and_end() -> None:
    pace = Pace.of((second * 1_000, 3) for second in range(1, 20_001))

    assert len(pace.samples) <= 241
    assert pace.samples[0] == (0, 0)
    assert pace.samples[-1] == (20_000_000, 60_000)


def test_a_run_without_captions_has_none() -> None:
    assert Pace.of([]).samples == []
