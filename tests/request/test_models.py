"""With what model several workers caption."""

from pathlib import Path

import pytest

from captiv.errors import UsageError
from captiv.request.options import Options
from captiv.request.run import model_choice, request
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


@pytest.mark.parametrize(
    ("hub_id", "variant"),
    [
        ("SmilingWolf/wd-swinv2-tagger-v3", "wd-swinv2-v3"),
        ("internlm/CapRL-Qwen3VL-2B", "caprl-2b"),
        ("qwen/qwen3-vl-30b-a3b-instruct", "qwen3-vl-30b-a3b"),
    ],
)
def test_a_hub_id_of_the_catalog_is_its_variant_and_the_hub_is_not_asked(
    hub_id: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    assert model_choice(hub_id, None, Settings()).variant.name == variant
    with pytest.raises(UsageError, match="contradict"):
        model_choice(hub_id, "blip-base", Settings())


def test_a_folder_that_is_called_as_a_hub_id_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "internlm" / "CapRL-Qwen3VL-2B"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3_vl"}')
    monkeypatch.chdir(tmp_path)

    assert model_choice("internlm/CapRL-Qwen3VL-2B", None, Settings()).variant.source == str(folder)
