"""No image lost, none paid for twice, no pod forgotten, no secret told, whatever RunPod does."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

from captiv.testing.cloud import drawn
from captiv.testing.cloud.conditions import RUNPOD_QUOTA
from captiv.testing.cloud.mischief import RECIPES, Armed, Mischief
from tests.chaos.rentals import PICTURES, Rental, cap_of, clock_of, rental
from tests.roads import IN_THE_IMAGE, Road
from tests.support import Home, finish, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.allow_blocking]

CENT = Decimal("0.01")
BLIND_S = 5
"""By so much captiv may be late to know that a pod began or ended."""
STORMS = [1, 2, 9, 12]
UPLOADS = [0, 1]
SILENCES: list[tuple[str, dict[str, Any]]] = [
    ("created_then_timed_out", {}),
    ("terminated_then_timed_out", {}),
]
"""Waited for until a time-out; in a storm RunPod's proxy says so, which is sooner."""
KILLS = [1, 2, 3, 4]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What an undisturbed run makes of the pictures."""
    calm = Home(tmp_path_factory.mktemp("calm")).scripted()
    calm.scenes(PICTURES)
    ended = calm.generate()
    assert ended.code == 0, ended
    yield calm.captions()


def weathered(
    home: Home,
    expected: dict[str, str],
    arm: Callable[[Mischief], list[Armed]],
    seed: int | None = None,
    road: Road = IN_THE_IMAGE,
) -> None:
    """Rent while that goes wrong, under conditions drawn by seed: it costs time, nothing else."""
    home.scenes(PICTURES)
    conditions = {} if seed is None else drawn(seed)
    env = {} if seed is None else clock_of(seed)
    cap = None if seed is None else cap_of(seed)
    with rental(home, conditions, env=env, cap=cap, road=road) as rented:
        armed = arm(rented.cloud.mischief)
        storm = [conditions, *(each.describe() for each in armed)]
        last = rented.insist()

        assert last.code == 0, (storm, rented.said)
        assert home.captions() == expected, storm
        rented.gone()
        assert rented.computed_again() == [], storm
        assert rented.busiest() < RUNPOD_QUOTA, storm
        assert rented.off_the_bill() <= min(CENT / 2, rented.leeway(blind_s(conditions))), storm
        assert not rented.over_its_cap(), storm
        kept_secret(rented)


def brought(home: Home, seed: int, expected: dict[str, str], road: Road) -> None:
    """Kill captiv while its code comes into a pod; the next start uses that pod, or ends it."""
    chance = random.Random(f"brought {seed}")
    home.scenes(PICTURES)
    line = {"up_mbit": chance.uniform(0.4, 4.0)}
    with rental(home, {**drawn(seed), **line}, env=clock_of(seed), road=road) as rented:
        moment = rented.killed(chance, rented.of_the_upload())
        last = rented.insist()

        assert last.code == 0, (moment, rented.said)
        assert home.captions() == expected, moment
        rented.gone()
        assert rented.computed_again() == [], moment
        assert rented.unknown() == [], moment
        kept_secret(rented)


def survived(home: Home, seed: int, expected: dict[str, str]) -> None:
    """Kill captiv at a moment of a rental, and see the pod end: by the next start, or its guard."""
    chance = random.Random(seed)
    comes_back = chance.random() < 0.5
    home.scenes(PICTURES)
    env = {"CAPTIV_RUNPOD_GUARD_IDLE": "60" if comes_back else "2"} | clock_of(seed)
    with rental(home, drawn(seed), env=env, cap=cap_of(seed)) as rented:
        moment = rented.killed(chance)
        if comes_back:
            last = rented.insist()
            assert last.code == 0, (moment, rented.said)
            assert home.captions() == expected, moment
            assert rented.cloud.pods_alive() == [], moment
            assert rented.computed_again() == [], moment
            assert rented.unknown() == [], moment
            assert rented.busiest() < RUNPOD_QUOTA, moment
            assert rented.off_the_bill() <= min(CENT / 2, rented.leeway(blind_s(drawn(seed)))), (
                moment
            )
        rented.gone()
        assert not rented.over_its_cap(), moment
        kept_secret(rented)


def on(seed: int, carried: Road) -> Road:
    """Return the road on which captiv comes into the pods of this storm."""
    return carried if seed % 2 else IN_THE_IMAGE


def blind_s(conditions: Mapping[str, Any]) -> int:
    """Return by how much captiv may be late to know of an end.

    It reckons with a pod until it has seen it gone, and looks at it ever more rarely: where an end
    lags, that is up to twice the lag, which RunPod does not bill.
    """
    return BLIND_S + math.ceil(2 * float(conditions.get("delete_lag_s", 0.0)))


def kept_secret(rented: Rental) -> None:
    """See that nobody was told a secret that was not for them."""
    assert rented.leaks() == []
    assert rented.readable_by_others() == []
    assert rented.told_more_than_a_hash() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", STORMS)
def test_a_sample_of_the_storms_over_a_rental(
    home: Home, seed: int, expected: dict[str, str], carried_road: Road
) -> None:
    weathered(home, expected, lambda mischief: mischief.storm(seed), seed, on(seed, carried_road))


@pytest.mark.slow
@pytest.mark.parametrize("seed", KILLS)
def test_a_sample_of_the_moments_at_which_captiv_is_killed(
    home: Home, seed: int, expected: dict[str, str]
) -> None:
    survived(home, seed, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", UPLOADS)
def test_a_sample_of_the_moments_at_which_captiv_brings_its_code(
    home: Home, seed: int, expected: dict[str, str], carried_road: Road
) -> None:
    brought(home, seed, expected, carried_road)


@pytest.mark.slow
def test_a_signal_while_the_answer_to_create_is_unknown_leaves_no_pod(home: Home) -> None:
    home.scenes(PICTURES)
    with rental(home) as rented:
        rented.cloud.mischief.arm("created_then_timed_out", status=504)
        rented.cloud.mischief.arm("late_in_list", seconds=1.0)
        process = home.start_generate(*rented.options)
        until(lambda: bool(rented.cloud.pods()), "the pod was made")
        process.terminate()
        ended = finish(process)

        assert ended.code == 130, ended
        assert rented.cloud.pods_alive() == []


@pytest.mark.slow
def test_a_guard_that_may_not_end_its_pod_leaves_it_to_the_next_start(
    home: Home, expected: dict[str, str]
) -> None:
    home.scenes(PICTURES)
    with rental(home, env={"CAPTIV_RUNPOD_GUARD_IDLE": "6"}) as rented:
        rented.cloud.mischief.arm("injected_key_refused")
        process = home.start_generate(*rented.options)
        until(lambda: bool(home.captions()), "a caption")
        process.kill()
        rented.said.append(finish(process))
        until(rented.refused_the_guard, "the guard asked and was refused")
        assert len(rented.cloud.pods_alive()) == 1

        last = rented.insist()

        assert last.code == 0, rented.said
        assert home.captions() == expected
        rented.gone()
        assert rented.computed_again() == []
        kept_secret(rented)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(300))
def test_every_storm_over_a_rental(
    home: Home, seed: int, expected: dict[str, str], carried_road: Road
) -> None:
    weathered(home, expected, lambda mischief: mischief.storm(seed), seed, on(seed, carried_road))


@pytest.mark.chaos
@pytest.mark.parametrize(("name", "options"), [*RECIPES, *SILENCES])
def test_each_misbehaviour_in_turn(
    home: Home, name: str, options: dict[str, Any], expected: dict[str, str]
) -> None:
    met: list[Armed] = []

    def arm(mischief: Mischief) -> list[Armed]:
        met.append(mischief.arm(name, **options))
        return met

    weathered(home, expected, arm)

    assert met[0].used


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(200))
def test_every_moment_at_which_captiv_is_killed(
    home: Home, seed: int, expected: dict[str, str]
) -> None:
    survived(home, seed, expected)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(200))
def test_every_moment_at_which_captiv_brings_its_code(
    home: Home, seed: int, expected: dict[str, str], carried_road: Road
) -> None:
    brought(home, seed, expected, carried_road)
