"""What pods cost, as the ledger has it and as the provider's own records confirm it later."""

from dataclasses import replace
from decimal import Decimal

import pytest

from captiv.core.bill import SETTLED_MS, Bill, PodBill

HOUR_MS = 3_600_000
POD = PodBill(
    provider="runpod",
    pod_id="p1",
    gpu="NVIDIA RTX A5000",
    price_micro=360_000,
    share=Decimal("0.09"),
    created_ms=0,
    ended_ms=HOUR_MS,
    now_ms=HOUR_MS + 1000,
)


def test_what_a_pod_cost_ends_with_it() -> None:
    assert POD.total == Decimal("0.36")
    assert not POD.billing
    assert "$0.3600 in all; it has ended." in POD.line()


def test_a_pod_that_lives_costs_until_now_and_says_how_to_end_it() -> None:
    alive = replace(POD, ended_ms=None, now_ms=2 * HOUR_MS)

    assert alive.billing
    assert alive.total == Decimal("0.72")
    assert "it still bills" in alive.line()
    assert "captiv runpod terminate p1" in alive.line()


def test_the_provider_knows_better_than_the_ledger_what_still_bills() -> None:
    left = replace(POD, gone=False, now_ms=2 * HOUR_MS)
    gone = replace(POD, ended_ms=None, gone=True)

    assert left.billing
    assert left.total == Decimal("0.72")
    assert not gone.billing


@pytest.mark.parametrize(
    ("recorded", "later_ms", "shown"),
    [
        ("0", 0, False),
        ("0.30", 0, False),
        ("0.36", 0, True),
        ("0.359", 0, True),
        ("0.37", 0, True),
        ("0.30", SETTLED_MS, True),
        ("0", SETTLED_MS, False),
    ],
)
def test_records_are_shown_once_they_have_caught_up(
    recorded: str, later_ms: int, shown: bool
) -> None:
    pod = replace(POD, recorded=Decimal(recorded), now_ms=HOUR_MS + later_ms)

    assert pod.billed == (Decimal(recorded) if shown else None)
    assert ("by the provider's own records" in pod.line()) is shown


def test_records_of_a_pod_that_still_bills_are_never_whole() -> None:
    assert replace(POD, ended_ms=None, recorded=Decimal(9)).billed is None


def test_a_run_pays_its_share_of_each_pod() -> None:
    bill = Bill((POD, replace(POD, pod_id="p2", share=Decimal("0.01"), recorded=Decimal("0.36"))))

    assert bill.share == Decimal("0.10")
    assert bill.lines()[0] == "This run's share of its pods cost $0.1000."
    assert [fact["billed_by_provider_usd"] for fact in bill.facts()] == [None, "0.360000"]
    assert bill.facts()[0]["share_usd"] == "0.090000"
