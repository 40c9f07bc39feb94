"""The one door to an account: opened with a key, and closed whatever happens."""

import pytest

from captiv.core.pods import Owner
from captiv.errors import ConfigurationError, ProviderUnreachable
from captiv.rental.account import Account, opened
from captiv.rental.runpod import RUNPOD
from captiv.settings import Paths, Settings
from captiv.testing.boxes import box_type, serving


@pytest.mark.allow_blocking
def test_without_a_key_it_is_said_how_one_is_had(paths: Paths) -> None:
    with pytest.raises(ConfigurationError, match="no RunPod API key") as refused:
        Account.open(RUNPOD, paths, Settings())

    assert "captiv config set runpod.api_key" in (refused.value.hint or "")


@pytest.mark.allow_blocking
async def test_an_account_knows_its_installation_and_is_closed_at_the_end(paths: Paths) -> None:
    with serving() as boxes:
        async with opened(box_type(boxes.url, boxes.key), paths, Settings()) as account:
            there = await account.provider.list()

        assert there == []
        assert account.owner == Owner("boxes", account.secret.id)
        with pytest.raises(RuntimeError, match="closed"):
            await account.provider.list()


@pytest.mark.allow_blocking
async def test_each_pod_has_a_token_of_its_own_and_every_process_knows_it(paths: Paths) -> None:
    kind = box_type("http://127.0.0.1:9", "k")
    async with opened(kind, paths, Settings()) as one, opened(kind, paths, Settings()) as other:
        assert one.token_of("a") == other.token_of("a") != one.token_of("b")
        address = one.address("BX-40123-x", "a")
        assert (address.url, address.token) == ("http://127.0.0.1:40123", one.token_of("a"))


@pytest.mark.allow_blocking
async def test_a_provider_that_is_not_there_is_an_error_and_no_empty_list(paths: Paths) -> None:
    async with opened(box_type("http://127.0.0.1:9", "k"), paths, Settings()) as account:
        with pytest.raises(ProviderUnreachable):
            await account.provider.list()
