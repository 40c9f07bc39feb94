"""Whom a run rents from."""

import pytest

from captiv.core.spec import Placement
from captiv.errors import ConfigurationError
from captiv.sources import PROVIDERS, provider_of


def test_a_run_rents_from_the_provider_of_its_placement() -> None:
    assert provider_of(Placement(kind="rented", provider="runpod")) is PROVIDERS["runpod"]


def test_a_row_of_0_2_rents_from_its_only_provider() -> None:
    assert provider_of(Placement.model_validate({"kind": "runpod"})) is PROVIDERS["runpod"]


def test_a_provider_of_a_later_captiv_is_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="isn't a provider of this captiv") as refused:
        provider_of(Placement(kind="rented", provider="elsewhere"))

    assert refused.value.hint == "It knows: runpod. A newer captiv may know more."
