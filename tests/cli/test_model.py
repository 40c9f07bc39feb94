import json
from pathlib import Path
from typing import Any

import pytest

from captiv.catalog import FAMILIES

from .conftest import Cli

HEADINGS = ("Model", "Variant", "Download", "Memory", "Fits", "Here")


def test_list_names_every_variant_with_its_size(cli: Cli) -> None:
    out = cli("model", "list").out

    for family in FAMILIES:
        for variant in family.variants:
            assert variant.name in out
    line = next(line for line in out.splitlines() if "blip-large" in line).split("\t")
    assert line[:3] == ["blip", "blip-large (default)", "1.88 GB"]
    assert line[4:] in (["yes", "no"], ["yes", "yes"])


def test_list_says_what_is_downloaded(cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--microsoft--git-base-coco" / "snapshots" / "1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()

    lines = {line.split("\t")[1]: line for line in cli("model", "list", "git").out.splitlines()}

    assert lines["git-base"].endswith("\tyes")
    assert lines["git-large (default)"].endswith("\tno")


def test_list_says_what_to_take_for_which_gpu(cli: Cli) -> None:
    said = cli("model", "list").err

    assert "for a GPU of 8 GB: qwen3-vl-2b, joycaption-beta-one in 4bit" in said
    assert "for a GPU of 16 GB: qwen3-vl-4b, joycaption-beta-one in 8bit" in said
    assert "for a GPU of 24 GB: qwen3-vl-8b, joycaption-beta-one\n" in said
    assert "for a GPU of 48 GB: qwen3-vl-32b in 8bit, joycaption-beta-one\n" in said
    assert "pip install 'captiv[quant]'" in said
    assert "for a GPU of 80 GB: qwen3-vl-32b, joycaption-beta-one" in said
    assert "for a GPU" not in cli("model", "list", "git").err


def test_list_fits_80_columns(cli: Cli) -> None:
    rows = [line.split("\t") for line in cli("model", "list").out.splitlines()]

    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    widths = [max(w, len(h)) for w, h in zip(widths, HEADINGS, strict=True)]
    assert sum(widths) + 2 * (len(widths) - 1) <= 80


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


def test_every_family_and_variant_is_a_command_of_its_own(cli: Cli) -> None:
    for family in FAMILIES:
        page = cli("model", "show", family.name)
        assert page.code == 0
        assert cli("model", family.name).out == page.out
        for mode in family.modes:
            assert f"  {mode.name}" in page.out
            assert mode.prompt is None or f'"{mode.prompt}"' in page.out
        for variant in family.variants:
            assert variant.source in page.out
            alone = cli("model", variant.name)
            assert alone.code == 0
            assert cli("model", "show", variant.name).out == alone.out


def test_a_variant_shows_its_own_modes_and_settings_only(cli: Cli) -> None:
    whole = cli("model", "show", "kosmos").out
    alone = cli("model", "show", "kosmos-2.5").out

    assert "grounding [kosmos-2]" in whole
    assert "Settings of kosmos-2.5" in whole
    assert "grounding [" not in alone
    assert "max_new_tokens = 1024" in alone
    assert "Own prompt: no" in alone


def test_joycaption_shows_all_that_it_was_trained_on_and_what_it_was_not(cli: Cli) -> None:
    page = cli("model", "show", "joycaption").out
    trained, free = page.split("Modes that the model was not trained on")

    assert "  descriptive (unless another is given):" in trained
    assert '  danbooru: "Generate only comma-separated Danbooru tags' in trained
    assert '  poetic: "Write a poetic description' in free
    assert '  default: "Describe this image."' in free
    assert "Lengths: any, very short, short, medium-length, long, very long, or a number" in page
    assert "  exclude_immutable: Do NOT include" in page
    assert 'System prompt: "You are a helpful assistant' in page
    assert "bfloat16 17.5 GB" in page
    assert "temperature = 0.6" in page
    shown = json.loads(cli("model", "show", "joycaption", "--json").out)
    assert sum(mode["trained"] for mode in shown["modes"]) == len(shown["modes"]) / 2 == 12
    assert len(shown["options"]) == 27
    assert "{word_count} words or less" in shown["modes"][0]["by_count"]


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


def test_show_tells_what_a_checkpoint_says_of_repeats_and_stopping(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "blip"}')
    own = '{"no_repeat_ngram_size": 4, "early_stopping": true, "num_beams": 7, "max_length": 9}'
    (tmp_path / "generation_config.json").write_text(own)

    ended = cli("model", "show", tmp_path)

    lines = [line.strip() for line in ended.out.splitlines()]
    assert {"no_repeat_ngram_size = 4", "early_stopping = 1", "num_beams = 3"} <= {*lines}


@pytest.mark.parametrize("config", [None, "{", "[]", '{"model_type": "resnet"}'])
def test_a_directory_that_holds_none_is_refused(
    cli: Cli, tmp_path: Path, config: str | None
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)

    assert cli("model", "show", tmp_path).code == 2


def test_a_command_that_is_mistyped_is_not_taken_for_a_model(cli: Cli) -> None:
    assert "Did you mean 'list'?" in cli("model", "lst").err


def test_an_unknown_name_is_refused_with_the_list(cli: Cli) -> None:
    for args in (["show", "nix"], ["list", "nix"], ["nix"]):
        ended = cli("model", *args)
        assert ended.code == 2
        assert "The models: blip" in ended.err
