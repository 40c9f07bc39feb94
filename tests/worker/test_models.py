"""From names on the command line to weights, and what is said where there are none."""

from pathlib import Path

import pytest
from captiv_worker.models import resolve

from captiv.errors import ModelError, UsageError


def silent(_phase: str, _done: int | None = None, _total: int | None = None) -> None: ...


def test_a_directory_is_known_by_its_config(tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "blip"}')

    resolved = resolve(str(directory), None, None, silent)

    assert resolved.choice.family.name == "blip"
    assert (resolved.choice.variant.name, resolved.path) == ("mine", directory)


def test_a_source_replaces_the_weights_and_keeps_the_names(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "blip"}')

    resolved = resolve("blip", "blip-base", str(tmp_path), silent)

    assert resolved.choice.variant.name == "blip-base"
    assert resolved.path == tmp_path


def test_a_variant_named_as_its_source_is_called_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "kosmos-2.5"}')

    resolved = resolve("kosmos", str(tmp_path), str(tmp_path), silent)

    assert resolved.choice.variant.name == tmp_path.name
    assert resolved.choice.family.architecture.engine == "kosmos25"


def test_a_source_of_another_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "parrot"}')

    with pytest.raises(ModelError, match="not of the family blip"):
        resolve("blip", None, str(tmp_path), silent)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("no-such-model", "no directory and no hub id"),
        ("./no/such/directory", "no directory and no hub id"),
    ],
)
def test_what_is_nowhere_is_said(model: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        resolve(model, None, None, silent)


def test_a_directory_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        resolve(str(tmp_path), None, None, silent)


def test_a_model_of_an_unknown_type_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "parrot"}')

    with pytest.raises(UsageError, match="parrot"):
        resolve(str(tmp_path), None, None, silent)


def test_a_variant_that_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="no variant"):
        resolve("blip", "blip-huge", None, silent)
