from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from captiv.core.budget import Budget, Running, outlives
from captiv.core.cost import DEADLINE_CAP_S, deadline_ms, price_of

D = Decimal
DOLLAR = 1_000_000
HOUR_MS = 3_600_000


def test_what_runs_counts_until_now_and_what_is_over_for_good() -> None:
    budget = Budget(D(5), over=D("1.5"), running=(Running(DOLLAR, 0, None),))

    assert budget.spent(HOUR_MS) == D("2.5")
    assert not budget.exhausted(3 * HOUR_MS)
    assert budget.exhausted(4 * HOUR_MS)
    assert not Budget(None, over=D(10**6)).exhausted(0)


def test_claims_stop_earlier_the_more_pods_bill() -> None:
    one = Running(36 * DOLLAR, 0, None)  # a cent a second
    cap = D("1.00")

    assert Budget(cap, running=(one,)).allows(70_000)
    assert not Budget(cap, running=(one,)).allows(71_000)
    assert Budget(cap, running=(one, one)).allows(20_000)
    assert not Budget(cap, running=(one, one)).allows(21_000)


def test_one_more_pod_is_counted_before_it_is_there() -> None:
    budget = Budget(D("1.00"), running=(Running(36 * DOLLAR, 0, None),))

    assert budget.allows(20_000, D(36))
    assert not budget.allows(50_000, D(36))


def test_a_part_is_of_what_is_promised_to_no_pod() -> None:
    budget = Budget(D(10), over=D(1), running=(Running(DOLLAR, 0, 3 * HOUR_MS),))

    assert budget.part(HOUR_MS, 2) == D(3)
    assert budget.part(HOUR_MS, 2, reserved=D(2)) == D(2)
    assert budget.part(5 * HOUR_MS, 1) == D(4), "it bills on after its deadline"
    assert Budget(None).part(0, 1) is None


@given(
    st.decimals("0.01", 20, places=2),
    st.lists(st.integers(1, 5 * DOLLAR), min_size=1, max_size=5),
)
def test_pods_left_alone_stay_below_the_cap_together(cap: Decimal, prices: list[int]) -> None:
    budget = Budget(cap)
    for waiting, price in zip(range(len(prices), 0, -1), prices, strict=True):
        part = budget.part(0, waiting)
        pod = Running(price, 0, deadline_ms(0, price_of(price), part))
        budget = Budget(cap, running=(*budget.running, pod))

    end = max(pod.deadline_ms or 0 for pod in budget.running)
    assert sum(pod.spent(pod.deadline_ms or 0) for pod in budget.running) <= cap
    assert end <= DEADLINE_CAP_S * 1000


def test_nothing_is_claimed_that_the_guard_would_cut_off() -> None:
    assert outlives(0, 60_000, 30_000)
    assert not outlives(0, 60_000, 31_000)
    assert outlives(0, None, 10**12)
    assert outlives(0, DEADLINE_CAP_S * 1000, DEADLINE_CAP_S * 1000)
    assert outlives(5, DEADLINE_CAP_S * 1000, DEADLINE_CAP_S * 1000), "reckoned a moment earlier"
