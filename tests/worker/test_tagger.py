"""Booru taggers over tiny models with the real files' inputs and outputs."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from captiv_worker.engines import Answer, EngineItem, build_engine
from captiv_worker.engines.tagger import SIGHTS, TaggerEngine
from captiv_worker.hub import is_whole, wanted
from captiv_worker.loader import spec_of
from captiv_worker.models import read_config
from PIL import Image

from captiv.catalog import choose_source
from captiv.catalog.model import Family
from captiv.errors import HostUnfit, ModelError
from captiv.wire import Generation, Tagging

from .taggers import KINDS, Kind, write_tagger

RED = "red theme, alice (series), warm (color), ^_^"
FolderOf = Callable[[Kind], Path]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """Write each tagger once."""
    home = tmp_path_factory.mktemp("taggers")

    def folder(kind: Kind) -> Path:
        path = home / kind
        return path if path.exists() else write_tagger(path, kind)

    return folder


def family_of(folder: Path) -> Family:
    return choose_source(str(folder), read_config(folder)).family


def loaded(folder: Path, **spec: object) -> TaggerEngine:
    choice = choose_source(str(folder), read_config(folder))
    engine = build_engine(replace(spec_of(choice, folder), **spec))  # type: ignore[arg-type]
    assert isinstance(engine, TaggerEngine)
    engine.load(lambda _phase: None)
    return engine


def tags(engine: TaggerEngine, tagging: Tagging | None, *colours: str) -> list[str]:
    pictures = [Image.new("RGB", (448, 448), colour) for colour in colours]
    items = [EngineItem(picture, None, Generation(), tagging) for picture in pictures]
    outcomes = engine.caption(items)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    return [outcome.text for outcome in outcomes if isinstance(outcome, Answer)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_known_by_its_files_and_writes_the_surest_tag_first(
    kind: Kind, folder_of: FolderOf
) -> None:
    family = family_of(folder_of(kind))
    engine = loaded(folder_of(kind))

    assert family.name == kind
    red = RED if kind != "camie-tagger" else RED.replace("^_^", "bob, ^_^")
    assert tags(engine, family.tagging, "red", "blue", "black") == [red, "blue theme", ""]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"general": 0.7}, "red theme, warm (color)"),
        ({"general": 0.65, "character": 0.65}, "red theme, alice (series), warm (color), bob"),
        ({"rating": 0.5, "character": 0.9}, "sensitive, alice (series)"),
        ({"general": 1.0}, ""),
        ({}, ""),
    ],
)
def test_each_category_has_a_threshold_of_its_own(
    folder_of: FolderOf, asked: dict[str, float], expected: str
) -> None:
    assert tags(loaded(folder_of("wd-tagger")), Tagging(thresholds=asked), "red") == [expected]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"underscores": True}, "red_theme, alice_(series), warm_(color), ^_^"),
        ({"escape": True}, r"red theme, alice \(series\), warm \(color\), ^_^"),
        ({"exclude": ("Red theme", "alice_(series)")}, "warm (color), ^_^"),
        ({"exclude": (r"alice \(series\)", "^_^")}, "red theme, warm (color)"),
    ],
)
def test_tags_are_written_as_asked_and_without_those_that_are_excluded(
    folder_of: FolderOf, asked: dict[str, object], expected: str
) -> None:
    tagging = Tagging.model_validate({"thresholds": {"general": 0.35, "character": 0.85}} | asked)

    assert tags(loaded(folder_of("wd-tagger")), tagging, "red") == [expected]


def test_a_file_for_one_picture_alone_gets_one_at_a_time(tmp_path: Path) -> None:
    folder = write_tagger(tmp_path / "one", "wd-tagger", batch=1)
    choice = choose_source(str(folder), read_config(folder))
    engine = build_engine(replace(spec_of(choice, folder), max_batch=8))
    assert isinstance(engine, TaggerEngine)

    assert engine.load(lambda _phase: None).max_batch == 1
    assert tags(engine, choice.family.tagging, "red") == [RED]


def test_a_file_for_several_pictures_at_once_takes_fewer(tmp_path: Path) -> None:
    folder = write_tagger(tmp_path / "four", "wd-tagger", batch=4)
    engine = loaded(folder, max_batch=2)
    tagging = family_of(folder).tagging

    assert tags(engine, tagging, "red") == [RED]
    assert tags(engine, tagging, "black", "red", "blue") == ["", RED, "blue theme"]


def test_wd_sees_white_around_the_picture_and_blue_first() -> None:
    seen = SIGHTS["wd-tagger"].pixels(np, Image.new("RGB", (224, 112), "red"), 448)

    assert (seen.shape, seen.dtype) == ((448, 448, 3), np.float32)
    assert seen[224, 224].tolist() == [0, 0, 255]
    assert seen[20, 224].tolist() == seen[427, 224].tolist() == [255, 255, 255]
    assert seen[120, 5].tolist() == seen[120, 442].tolist() == [0, 0, 255]


def test_pixai_sees_the_picture_squashed_from_minus_one_to_one() -> None:
    picture = Image.new("RGB", (100, 20), "white")
    picture.paste("black", (0, 0, 50, 20))

    seen = SIGHTS["pixai-tagger"].pixels(np, picture, 448)

    assert (seen.shape, seen.dtype) == ((3, 448, 448), np.float32)
    assert np.all(seen[:, :, :200] == -1)
    assert np.all(seen[:, :, 250:] == 1)


def test_camie_sees_grey_around_the_picture_normalised_as_for_imagenet() -> None:
    seen = SIGHTS["camie-tagger"].pixels(np, Image.new("RGB", (100, 50), "red"), 512)

    assert (seen.shape, seen.dtype) == ((3, 512, 512), np.float32)
    assert np.abs(seen[:, :127]).max() < 0.01
    assert np.abs(seen[:, 385:]).max() < 0.01
    red = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    assert seen[:, 256, 256].tolist() == pytest.approx(red, abs=1e-5)


def test_another_models_file_is_refused_before_it_tags_rubbish(tmp_path: Path) -> None:
    folder = write_tagger(tmp_path / "mixed", "pixai-tagger")
    csv = write_tagger(tmp_path / "wd", "wd-tagger") / "selected_tags.csv"
    csv.replace(folder / csv.name)

    with pytest.raises(ModelError, match="is not of the tagger wd-tagger: it takes pictures as"):
        loaded(folder)


def test_a_list_of_another_length_is_refused(tmp_path: Path) -> None:
    folder = write_tagger(tmp_path / "short", "wd-tagger", listed=100)
    engine = loaded(folder)

    with pytest.raises(ModelError, match=r"scores 10861 tags, and selected_tags\.csv lists 100"):
        tags(engine, Tagging(), "red")


@pytest.mark.parametrize("name", ["model.onnx", "selected_tags.csv"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_tagger(tmp_path / "damaged", "wd-tagger")
    (folder / name).write_bytes(b"\xff\xfe not this")

    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        loaded(folder)


def test_a_gpu_is_refused_in_words(folder_of: FolderOf) -> None:
    with pytest.raises(HostUnfit, match="Taggers run on the CPU here, not on cuda"):
        loaded(folder_of("wd-tagger"), device="cuda")


def test_of_a_taggers_repository_only_its_two_files_are_fetched(folder_of: FolderOf) -> None:
    of_wd = dict.fromkeys(
        ("config.json", "model.onnx", "model.safetensors", "selected_tags.csv"), 9
    )
    of_camie = {"camie-tagger-v2.onnx": 9, "camie-tagger-v2-metadata.json": 8, "app/x.json": 7}

    assert wanted(of_wd) == {"model.onnx": 9, "selected_tags.csv": 9}
    assert wanted(of_camie) == {"camie-tagger-v2.onnx": 9, "camie-tagger-v2-metadata.json": 8}
    assert is_whole(folder_of("camie-tagger"))


def test_a_tagger_loads_without_torch(folder_of: FolderOf) -> None:
    code = (
        "import sys; from captiv_worker.loader import spec_of; from pathlib import Path;"
        "from captiv_worker.engines import build_engine; from captiv.catalog import choose_source;"
        "from captiv_worker.models import read_config; p = Path(sys.argv[1]);"
        "e = build_engine(spec_of(choose_source(str(p), read_config(p)), p));"
        "e.load(lambda _: None); print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )

    ran = [sys.executable, "-c", code, str(folder_of("wd-tagger"))]
    assert subprocess.run(ran, capture_output=True, text=True, check=True).stdout == "[]\n"
