"""With what model several workers caption."""

from pathlib import Path

import pytest

from captiv.errors import UsageError
from captiv.request.options import Options
from captiv.request.run import request
from captiv.settings import Settings

SERVER = "http://127.0.0.1:8000"


def test_a_model_of_a_chat_server_alone_is_loaded_by_no_worker_of_captiv(tmp_path: Path) -> None:
    asked = Options(paths=[tmp_path], worker=[SERVER], protocol="openai", model="org/some-vlm")
    beside = Options(
        paths=[tmp_path], worker=[SERVER], protocol="openai", model="org/some-vlm", local=True
    )

    spec, _ = request(asked, Settings())
    with pytest.raises(UsageError, match="some-vlm is known to the chat server only"):
        request(beside, Settings())

    assert spec.captioning.model == "org/some-vlm"


def test_a_model_of_the_catalog_is_shared_by_a_chat_server_and_this_machine(tmp_path: Path) -> None:
    options = Options(
        paths=[tmp_path], worker=[SERVER], protocol="openai", model="joycaption", local=True
    )

    spec, _ = request(options, Settings())

    assert [site.kind for site in spec.placement.sites] == ["url", "local"]
    assert [site.protocol for site in spec.placement.sites] == ["openai", "captiv"]
