"""What an account is asked before anything is rented, and what is said of its answers."""

import pytest

from captiv.rental.checks import account_findings, asked
from captiv.rental.runpod import RUNPOD
from captiv.testing.cloud import Cloud

from .accounts import settings_of


@pytest.mark.parametrize("setting", ["network_volume", "registry"])
async def test_what_the_account_does_not_have_is_said_once_and_not_blamed_on_the_key(
    cloud: Cloud, setting: str
) -> None:
    settings = settings_of(cloud, **{setting: "gone"})

    answers = await asked(RUNPOD, settings, 30.0, extras=("local",))

    failed = [found for found in account_findings(RUNPOD, answers) if found.error is not None]
    assert [found.name for found in failed] == ["RunPod pods"]
    assert "gone" in failed[0].detail
