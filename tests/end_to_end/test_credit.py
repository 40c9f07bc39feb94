"""The account runs out of credit in mid-run: nothing is lost, and nothing is left that bills."""

from decimal import Decimal

import pytest

from captiv.store import Store
from captiv.testing.cloud import Cloud
from tests.cases import sampled
from tests.support import Ended, Home

from .test_rented import generate, paid, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

PICTURES = 40
SLOW = {"batch_s": 0.2}
SAID = "The RunPod account has too little credit"
WHERE = "Add credit in RunPod's console, under Billing."


def states(home: Home) -> dict[str, int]:
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        rows = store.read(
            lambda conn: conn.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
        )
    return dict(rows)


def nothing_left(cloud: Cloud) -> None:
    """No pod, running or stopped: a stopped one's disk may bill, and nobody needs it."""
    assert cloud.pods_alive() == []


def once(ended: Ended) -> None:
    assert ended.err.count(SAID) == 1, ended
    assert WHERE in ended.err, ended


@pytest.mark.parametrize(
    ("fallback", "without"),
    sampled(
        ("auto", "stop"), ("fail", "terminate"), ("auto", "terminate"), ("fail", "stop"), keep=2
    ),
)
def test_a_run_without_credit_ends_and_the_images_stay(
    home: Home, without: str, fallback: str
) -> None:
    home.scripted().scenes(PICTURES)
    options = () if fallback == "auto" else ("--fallback", fallback)
    with rented(home, engine=SLOW, without_credit=without) as cloud:
        cloud.mischief.arm("credit_gone", after=9)  # more than are asked for at once
        ended = generate(home, "--batch-size", "2", *options)

        once(ended)
        nothing_left(cloud)
        assert abs(paid(home) - cloud.bill()) < Decimal("0.005")
        if fallback == "fail":
            assert ended.code == 3, ended
            assert states(home).keys() == {"done", "pending"}
            assert 0 < len(home.captions()) < PICTURES
        cloud.add_credit(Decimal(100))
        again = generate(home, "--batch-size", "2", *options)

        assert again.code == 0, again
        assert len(home.captions()) == PICTURES
        nothing_left(cloud)
