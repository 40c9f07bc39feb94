from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core import cost

PRICES = st.decimals(0, 10, places=6)
TIMES = st.integers(0, 40 * 86_400_000)
SECONDS = st.floats(0, 100_000)
D = Decimal


def test_a_second_that_was_begun_is_paid() -> None:
    price = D("0.36")

    assert cost.cost(price, 0, 0) == 0
    assert cost.cost(price, 0, 1) == cost.cost(price, 0, 1000) == D("0.0001")
    assert cost.cost(price, 500, 1501) == D("0.0002")
    assert cost.cost(price, 0, 3_600_000) == price


def test_an_end_before_the_beginning_costs_nothing() -> None:
    assert cost.cost(D(1), 5000, 1) == 0


@given(PRICES, TIMES, TIMES)
def test_it_is_never_too_little_and_at_most_a_second_too_much(
    price: Decimal, start: int, length: int
) -> None:
    exact = price * length / 3_600_000

    said = cost.cost(price, start, start + length)

    assert exact - D("1e-20") <= said <= exact + price / 3600 + D("1e-20")


@given(PRICES, TIMES, TIMES, TIMES)
def test_it_grows_with_time(price: Decimal, start: int, one: int, more: int) -> None:
    assert cost.cost(price, start, start + one) <= cost.cost(price, start, start + one + more)


@given(st.lists(st.builds(cost.Share, st.integers(0, 10**7), TIMES, TIMES), max_size=5))
def test_a_total_is_the_sum_of_its_shares(shares: list[cost.Share]) -> None:
    expected = [cost.cost(cost.price_of(s.price_micro), s.from_ms, s.to_ms) for s in shares]

    assert cost.total(shares) == sum(expected)


@given(PRICES)
def test_prices_survive_being_kept(price: Decimal) -> None:
    assert cost.price_of(cost.micro(price)) == price


def test_a_price_is_what_is_written_and_never_kept_too_low() -> None:
    assert cost.money(0.16) == D("0.16")
    assert cost.micro(cost.money(0.16)) == 160_000
    assert cost.micro(D("0.1234567")) == 123_457


def test_an_estimate_pays_for_the_start() -> None:
    expected = cost.estimate(1000, 2.0, D("0.36"), 100)

    assert expected == (600.0, D("0.06"))


@given(st.decimals("0.01", 10, places=2), st.decimals(0, 1000, places=2), TIMES)
def test_a_pod_that_lives_until_its_deadline_stays_within_the_cap(
    price: Decimal, cap: Decimal, now: int
) -> None:
    deadline = cost.deadline_ms(now, price, cap)

    assert now <= deadline <= now + cost.DEADLINE_CAP_S * 1000
    assert cost.cost(price, now, deadline) <= cap + D("1e-20")


@given(st.decimals("0.01", 10, places=2), st.decimals(0, 1000, places=2))
def test_a_deadline_wastes_less_than_a_second(price: Decimal, cap: Decimal) -> None:
    deadline = cost.deadline_ms(0, price, cap)

    if deadline < cost.DEADLINE_CAP_S * 1000:
        assert cost.cost(price, 0, deadline + 1000) > cap - D("1e-20")


@pytest.mark.parametrize("price", [D("0.5"), D(0)])
def test_without_a_cap_or_a_price_a_pod_has_a_day(price: Decimal) -> None:
    cap = None if price else D(1)

    assert cost.deadline_ms(7, price, cap) == 7 + 86_400_000
    assert cost.deadline_ms(7, price, cap, cap_s=60) == 7 + 60_000


@given(PRICES, SECONDS, SECONDS, PRICES, st.decimals(0, 100, places=2))
def test_what_is_in_flight_when_claiming_stops_ends_within_the_cap(
    spent: Decimal, in_flight: float, wind_down: float, price: Decimal, cap: Decimal
) -> None:
    rate = price / 3600

    if cost.claims_allowed(spent, rate, in_flight, wind_down, cap):
        at_the_end = spent + rate * (cost.money(in_flight) + cost.money(wind_down))
        assert at_the_end <= cap


@given(PRICES, SECONDS, st.decimals(0, 100, places=2))
def test_once_refused_claiming_stays_refused(spent: Decimal, flight: float, cap: Decimal) -> None:
    rate = D("0.0001")
    if not cost.claims_allowed(spent, rate, flight, 5, cap):
        assert not cost.claims_allowed(spent + rate, rate, flight, 5, cap)


def test_without_a_cap_claiming_goes_on() -> None:
    assert cost.claims_allowed(D(10**6), D(1), 1e6, 1e6, None)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("0", "$0.00"),
        ("0.01234", "$0.0123"),
        ("0.00005", "$0.0001"),
        ("0.99999", "$1.0000"),
        ("1.005", "$1.01"),
        ("1234.5", "$1,234.50"),
        ("-0.25", "-$0.2500"),
    ],
)
def test_amounts_are_read_by_people(amount: str, said: str) -> None:
    assert cost.dollars(D(amount)) == said


@pytest.mark.parametrize(
    ("price", "said"),
    [("0.16", "$0.16/h"), ("1.5", "$1.50/h"), ("0.165", "$0.165/h"), ("2", "$2.00/h")],
)
def test_prices_are_read_by_people(price: str, said: str) -> None:
    assert cost.rate(D(price)) == said


def test_a_pod_that_is_dearer_than_was_said_ends_as_much_sooner_and_never_costs_more() -> None:
    hour_ms = 3_600_000

    assert cost.redated_ms(1000, 1000 + 2 * hour_ms, 170_000, 340_000) == 1000 + hour_ms
    assert cost.redated_ms(0, hour_ms, 340_000, 170_000) == 2 * hour_ms
    assert cost.redated_ms(0, 23 * hour_ms, 340_000, 170_000) == 24 * hour_ms, "a day is the most"
    until_ms = cost.redated_ms(0, 212_000, 170_000, 320_000)
    assert cost.cost(cost.price_of(320_000), 0, until_ms) <= cost.cost(
        cost.price_of(170_000), 0, 212_000
    )
