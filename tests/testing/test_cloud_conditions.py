"""The simulated cloud's conditions: what RunPod is like when nothing goes wrong, drawn by seed."""

import time
from decimal import Decimal

import pytest

from captiv.testing.cloud import Conditions, drawn
from tests.support import until

from .conftest import switched_on

pytestmark = pytest.mark.allow_blocking


def test_the_same_seed_draws_the_same_conditions() -> None:
    assert drawn(7) == drawn(7)
    assert len({str(drawn(seed)) for seed in range(20)}) == 20
    assert all(Conditions(**drawn(seed)).quota_per_minute == 60 for seed in range(20))


def test_more_calls_than_the_quota_are_told_when_to_come_again() -> None:
    with switched_on(quota_per_minute=3) as account:
        answers = [account.api.get("/v2/pods") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert '"minute";r=0;' in answers[-1].headers["RateLimit"]


def test_an_end_that_was_accepted_lags_and_bills_no_longer() -> None:
    with switched_on(delete_lag_s=0.8) as account:
        pod = account.create().json()["id"]
        assert account.api.delete(f"/v2/pods/{pod}").status_code == 204
        bill = account.cloud.bill(pod)

        assert account.api.get(f"/v2/pods/{pod}").json()["status"] == "RUNNING"
        assert [row["id"] for row in account.api.get("/v2/pods").json()["pods"]] == [pod]
        until(lambda: account.api.get(f"/v2/pods/{pod}").status_code == 404, "it is gone")
        assert account.cloud.bill(pod) == bill


def test_the_list_shows_a_pod_for_a_while_that_is_gone() -> None:
    with switched_on(ended_listed_s=0.8) as account:
        pod = account.create().json()["id"]
        account.api.delete(f"/v2/pods/{pod}")

        assert account.api.get(f"/v2/pods/{pod}").status_code == 404
        (row,) = account.api.get("/v2/pods").json()["pods"]
        assert (row["id"], row["status"]) == (pod, "RUNNING")
        until(lambda: account.api.get("/v2/pods").json()["pods"] == [], "it is not listed")


@pytest.mark.parametrize(("without", "alive"), [("stop", 1), ("terminate", 0)])
def test_an_account_without_credit_runs_no_pod(without: str, alive: int) -> None:
    with switched_on(without_credit=without) as account:
        pod = account.create().json()["id"]
        account.cloud.add_credit(Decimal(-1000))
        until(lambda: account.cloud.pod(pod).status in ("EXITED", "TERMINATED"), "its end")

        assert len(account.cloud.pods_alive()) == alive
        assert account.create().status_code == 402
        account.cloud.add_credit(Decimal(2000))
        assert account.create().status_code == 201


def test_a_key_may_not_do_what_is_denied() -> None:
    with switched_on(denied=frozenset({"list_gpus"})) as account:
        assert account.api.get("/v2/catalog/gpus").status_code == 403
        assert account.create().status_code == 201


def test_a_price_that_moves_is_told_later() -> None:
    with switched_on() as account:
        account.cloud.mischief.arm("price_moves", factor=2.0)
        created = account.create().json()
        later = account.api.get(f"/v2/pods/{created['id']}").json()

    assert later["cost"] == pytest.approx(2 * created["cost"])


@pytest.mark.slow
def test_every_answer_takes_its_time() -> None:
    with switched_on(rtt_s=0.3) as account:
        began = time.monotonic()
        account.api.get("/v2/pods")
        assert time.monotonic() - began >= 0.3
    with switched_on(late_share=1.0) as account:
        began = time.monotonic()
        account.api.get("/v2/pods")
        assert time.monotonic() - began >= 2.0
