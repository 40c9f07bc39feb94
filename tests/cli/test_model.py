import json
from pathlib import Path

import pytest

from captiv.catalog import FAMILIES

from .conftest import Cli


def test_list_names_every_variant_with_its_size(cli: Cli) -> None:
    out = cli("model", "list").out

    for family in FAMILIES:
        for variant in family.variants:
            assert variant.name in out
    assert "blip\tblip-large (default)\t1.88 GB\tfloat32 2.6 GB" in out


def test_list_as_json(cli: Cli) -> None:
    families = json.loads(cli("model", "list", "--json").out)

    assert [family["name"] for family in families] == [family.name for family in FAMILIES]


def test_show_tells_what_one_has_to_know(cli: Cli) -> None:
    out = cli("model", "show", "blip").out

    for part in ("blip-base", "990 MB", "float16 1 GB", '"a photography of"', "BSD-3-Clause"):
        assert part in out
    assert "max_new_tokens = 64" in out


def test_show_takes_a_variant_and_the_family_alone_will_do(cli: Cli) -> None:
    page = cli("model", "show", "blip").out

    assert cli("model", "show", "blip-base").out == page
    assert cli("model", "blip").out == page


def test_show_as_json_has_the_prompts(cli: Cli) -> None:
    shown = json.loads(cli("model", "show", "blip", "--json").out)

    assert {"name": "photo", "prompt": "a photography of"}.items() <= shown["modes"][1].items()


def test_show_takes_a_local_directory_of_a_known_family(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "mine"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "blip"}')

    ended = cli("model", "show", model)

    assert ended.code == 0
    assert ended.out.startswith("blip: ")
    assert str(model) in ended.out


@pytest.mark.parametrize("config", [None, "{", "[]", '{"model_type": "resnet"}'])
def test_a_directory_that_holds_none_is_refused(
    cli: Cli, tmp_path: Path, config: str | None
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)

    assert cli("model", "show", tmp_path).code == 2


def test_an_unknown_name_is_refused_with_the_list(cli: Cli) -> None:
    for args in (["show", "nix"], ["list", "nix"]):
        ended = cli("model", *args)
        assert ended.code == 2
        assert "The models: blip" in ended.err
