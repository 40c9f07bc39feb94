import json

import pytest
from pydantic import SecretStr, ValidationError

from captiv.catalog import FAMILIES, default_family
from captiv.settings import Settings
from captiv.settings.keys import all_keys, find_key, suggestion
from captiv.settings.schema import ModelSettings, RunpodSettings


def test_every_setting_is_described_and_its_default_passes_its_own_check() -> None:
    for key in all_keys():
        assert key.description.endswith("."), key
        if key.default is not None:
            assert key.parse(key.default) == key.default, key


def test_the_documented_runpod_defaults() -> None:
    runpod = RunpodSettings()

    assert runpod.default_gpu_type == "NVIDIA RTX A4000"
    assert (runpod.auto_create, runpod.auto_terminate) == (True, True)
    assert (runpod.startup_timeout, runpod.request_timeout) == (600, 120)
    assert (runpod.container_disk_size, runpod.volume_disk_size) == (None, 50)
    assert (runpod.max_price, runpod.guard_idle, runpod.lost_after) == (1.5, 900, 60)
    assert runpod.fallback == "local"


def test_the_default_model_is_the_default_of_the_catalog() -> None:
    assert ModelSettings().default_model == default_family().name


def test_a_family_of_its_own_setting_goes_before_the_default_of_the_default_model() -> None:
    model = ModelSettings.model_validate(
        {
            "default_model": "blip",
            "default_variant": "blip-base",
            "vit_gpt2_mode": "m",
            "default_mode": "photo",
            "joycaption_length": "short",
        }
    )

    assert model.variant_for("blip") == "blip-base"
    assert model.variant_for("joycaption") is None
    assert model.mode_for("vit-gpt2") == "m"
    assert model.length_for("joycaption") == "short"
    assert model.length_for("blip") is None
    own = ModelSettings.model_validate({"blip_variant": "a", "default_variant": "b"})
    assert own.variant_for("blip") == "a"


def test_every_family_and_every_one_of_the_first_captiv_has_settings_of_its_own() -> None:
    names = {f.name for f in FAMILIES} | {"blip2", "git", "joycaption", "kosmos", "vit-gpt2"}

    for name in names:
        for what in ("variant", "mode"):
            assert f"{name.replace('-', '_')}_{what}" in ModelSettings.model_fields
    for family in FAMILIES:
        key = f"{family.name.replace('-', '_')}_length"
        assert (key in ModelSettings.model_fields) == bool(family.lengths)


def test_secrets_are_masked_in_every_form() -> None:
    settings = Settings(runpod=RunpodSettings(api_key=SecretStr("rpa_hidden")))

    forms = [repr(settings), str(settings), settings.model_dump_json(), f"{settings.runpod}"]
    key = find_key("runpod", "api_key")
    assert key is not None
    forms.append(str(key.shown(settings.runpod.api_key)))

    assert not any("rpa_hidden" in form for form in forms)


def test_a_bad_secret_is_refused_without_showing_it() -> None:
    key = find_key("runpod", "api_key")
    assert key is not None

    with pytest.raises(ValueError, match="must be text") as caught:
        key.parse(["rpa_hidden"])

    assert "rpa_hidden" not in str(caught.value)
    with pytest.raises(ValidationError) as raised:
        RunpodSettings.model_validate({"api_key": ["rpa_hidden"]})
    assert "rpa_hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("section", "name", "text", "value"),
    [
        ("worker", "insecure", "true", True),
        ("generation", "temperature", "0.5", 0.5),
        ("output", "extension", "caption", ".caption"),
        ("output", "prefix", "", ""),
        ("runpod", "api_url", "http://127.0.0.1:9/v2/", "http://127.0.0.1:9/v2"),
        (
            "runpod",
            "proxy_url",
            "http://localhost:9/{pod}/{port}",
            "http://localhost:9/{pod}/{port}",
        ),
        ("system", "device", "cuda:1", "cuda:1"),
        ("runpod", "max_cost", "2.5", 2.5),
        ("runpod", "max_cost", "none", "none"),
    ],
)
def test_text_is_read_as_the_type_of_the_setting(
    section: str, name: str, text: str, value: object
) -> None:
    key = find_key(section, name)
    assert key is not None

    assert key.parse(text) == value


@pytest.mark.parametrize(
    ("section", "name", "text", "words"),
    [
        ("generation", "num_beams", "0", "a whole number from 1 to 32, not '0'"),
        ("generation", "temperature", "nan", "a number from 0 to 5"),
        ("output", "sidecar_name", "both", "one of stem, full, not 'both'"),
        ("output", "extension", ".JPG", "replace images"),
        ("output", "extension", "../x", "cannot end a file name"),
        ("runpod", "api_url", "http://example.org", "readable"),
        ("runpod", "proxy_url", "https://example.org", "{pod}"),
        ("worker", "url", "ftp://x", "https://"),
        ("worker", "url", "https://u:p@x", "no user or password"),
        ("runpod", "package", "git+https://t0ken@x/c.git", "no user or password"),
        ("worker", "insecure", "perhaps", "true or false"),
        ("system", "device", "gpu", "cuda:N"),
        ("runpod", "startup_timeout", "inf", "a number above 0"),
        ("runpod", "max_cost", "0", "a number above 0 to 100000, or none, not '0'"),
        ("runpod", "max_cost", "much", "a number above 0 to 100000, or none, not 'much'"),
    ],
)
def test_a_bad_value_is_refused_with_what_would_do(
    section: str, name: str, text: str, words: str
) -> None:
    key = find_key(section, name)
    assert key is not None

    with pytest.raises(ValueError) as caught:
        key.parse(text)

    assert words in str(caught.value)


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    assert "Did you mean runpod.api_key?" in suggestion("runpod", "api_kee")
    assert "Did you mean runpod?" in suggestion("runpot", "x")
    assert "Did you mean runpod.api_key?" in suggestion("rp", "api_key")
    assert "[system] has: default_torch_dtype, device, engine." in suggestion("system", "zzz")


def test_the_schema_can_be_written_down() -> None:
    json.dumps(Settings.model_json_schema())


@pytest.mark.parametrize("text", ["", ".", "a/b", ".TIFF", "\n"])
def test_an_extension_that_could_replace_images_or_ends_no_name_is_refused(text: str) -> None:
    key = find_key("output", "extension")
    assert key is not None
    with pytest.raises(ValueError, match="extension"):
        key.parse(text)
