from pathlib import Path

import pytest

from captiv.errors import UsageError
from captiv.settings.changes import change, known, overriding, take_out


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_a_value_is_checked_and_written_with_its_type(file: Path) -> None:
    change(file, known("gui", "port"), "80")

    assert file.read_text() == "[gui]\nport = 80\n"


def test_a_wrong_value_leaves_the_file_as_it_was(file: Path) -> None:
    with pytest.raises(UsageError, match=r"gui\.port must be a whole number"):
        change(file, known("gui", "port"), "many")

    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [("default_model", "blipp"), ("joycaption_mode", "none"), ("blip_variant", "huge")],
)
def test_what_the_catalog_has_not_is_refused(file: Path, name: str, text: str) -> None:
    with pytest.raises(UsageError):
        change(file, known("model", name), text)


def test_an_unknown_name_is_told_what_was_meant() -> None:
    with pytest.raises(UsageError) as caught:
        known("gui", "prot")

    assert "Did you mean gui.port?" in str(caught.value.hint)


def test_a_value_is_taken_out_once(file: Path) -> None:
    key = known("output", "prefix")
    change(file, key, "photo of")

    assert take_out(file, key)
    assert not take_out(file, key)


def test_the_strongest_variable_that_is_set_is_named() -> None:
    key = known("runpod", "api_key")

    assert overriding(key, {"RUNPOD_API_KEY": "x"}) == "RUNPOD_API_KEY"
    both = {"RUNPOD_API_KEY": "x", "CAPTIV_RUNPOD_API_KEY": "y"}
    assert overriding(key, both) == "CAPTIV_RUNPOD_API_KEY"
    assert overriding(key, {"RUNPOD_API_KEY": ""}) is None
