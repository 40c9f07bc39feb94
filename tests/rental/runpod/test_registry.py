"""The credentials for a private image: named by id or name, and looked up before renting."""

from typing import Any

import pytest

from captiv.errors import ConfigurationError
from captiv.rental.runpod.registry import registry_of

from .conftest import answer, problem

TWO = {"registries": [{"id": "r1", "name": "hub"}, {"id": "r2", "name": "ghcr"}]}
TWINS = {"registries": [{"id": "r1", "name": "hub"}, {"id": "r2", "name": "hub"}]}


@pytest.mark.parametrize(("named", "found"), [("r2", "r2"), ("ghcr", "r2"), ("hub", "r1")])
async def test_credentials_are_named_by_id_or_name(scene: Any, named: str, found: str) -> None:
    told = scene(answer(TWO))

    assert await registry_of(told.api, named) == found
    assert told.requests[0].url.path == "/v2/registries"


@pytest.mark.parametrize(
    ("account", "words", "hint"),
    [
        (TWO, "no registry credentials quay", "there are r1 (hub), r2 (ghcr)"),
        ({"registries": []}, "no registry credentials quay", "the account has none"),
    ],
)
async def test_unknown_credentials_are_said_with_those_that_are_there(
    scene: Any, account: dict[str, Any], words: str, hint: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        await registry_of(scene(answer(account)).api, "quay")

    assert "runpod.registry" in (caught.value.hint or "")
    assert hint in (caught.value.hint or "")


async def test_of_several_of_one_name_the_id_is_asked_for(scene: Any) -> None:
    with pytest.raises(ConfigurationError, match="named hub") as caught:
        await registry_of(scene(answer(TWINS)).api, "hub")

    assert "r1, r2" in (caught.value.hint or "")


async def test_a_key_that_may_not_list_them_is_taken_at_its_word(scene: Any) -> None:
    assert await registry_of(scene(problem(403)).api, "r9") == "r9"
