"""The torch-free engine says what it sees, the same alone and in company."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from captiv.errors import EngineFailed, ImageUnreadable, ModelError
from captiv.testing.engine import WEIGHTS, ScriptedEngine, mean_colour, picture_id, scripted_caption
from captiv.wire import Generation
from tests.support import until

RED = Image.new("RGB", (30, 20), (250, 4, 4))
BLUE = Image.new("RGB", (30, 20), (4, 4, 250))
PLAIN = Generation()


def test_the_caption_tells_the_picture() -> None:
    engine = ScriptedEngine()

    assert engine.caption([RED, BLUE], None, PLAIN) == [
        scripted_caption(RED),
        scripted_caption(BLUE),
    ]
    assert mean_colour(RED) == "red"
    assert picture_id(RED) != picture_id(BLUE)
    assert scripted_caption(RED, "a photo of").startswith("a photo of picture ")


def test_the_caption_is_cut_at_its_limit() -> None:
    assert ScriptedEngine().caption([RED], None, Generation(max_new_tokens=1)) == ["picture"]


def test_options_travel_as_json() -> None:
    options = json.loads('{"refuse_on": ["red"], "degenerate_on": ["blue"]}')

    refused, looping = ScriptedEngine(**options).caption([RED, BLUE], None, PLAIN)

    assert isinstance(refused, ImageUnreadable)
    assert isinstance(looping, str)
    assert looping.count("a dog and") > 10


def test_pictures_are_named_by_colour_or_by_id() -> None:
    engine = ScriptedEngine(fail_on=[picture_id(BLUE)])

    good, bad = engine.caption([RED, BLUE], None, PLAIN)

    assert good == scripted_caption(RED)
    assert isinstance(bad, EngineFailed)


def test_a_load_does_not_end_while_a_file_is_there(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(ScriptedEngine(hold_load=str(tmp_path / "hold")).load)

        with pytest.raises(TimeoutError):
            loading.result(0.1)
        (tmp_path / "hold").unlink()
        loading.result()


def test_a_batch_can_break_or_run_out_of_memory() -> None:
    with pytest.raises(RuntimeError):
        ScriptedEngine(raise_on=["red"]).caption([BLUE, RED], None, PLAIN)
    with pytest.raises(MemoryError):
        ScriptedEngine(oom_above=1).caption([BLUE, RED], None, PLAIN)
    with pytest.raises(ModelError, match="as told"):
        ScriptedEngine(fail_load="as told").load()


def test_a_batch_tells_when_it_begins(tmp_path: Path) -> None:
    ScriptedEngine(touch=str(tmp_path / "began")).caption([RED], None, PLAIN)

    assert (tmp_path / "began").exists()


def test_a_batch_is_held_while_a_file_is_there_but_the_first_ones(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    engine = ScriptedEngine(hold=str(hold), hold_after=2)
    ended: list[int] = []

    def caption_three() -> None:
        for number in range(3):
            engine.caption([RED], None, PLAIN)
            ended.append(number)

    at_work = threading.Thread(target=caption_three)
    at_work.start()
    until(lambda: engine.batches == 3)
    before = ended[:]
    hold.unlink()
    at_work.join()

    assert before == [0, 1]
    assert ended == [0, 1, 2]


@pytest.mark.parametrize("variable", ["HF_HOME", "HOME"])
def test_a_model_is_downloaded_once_to_where_models_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "kept"))
    ScriptedEngine(download=True).load()
    written_ns = (tmp_path / "kept" / WEIGHTS).stat().st_mtime_ns
    again = ScriptedEngine(download=True, download_s=1000)
    again.load()

    assert (tmp_path / "kept" / WEIGHTS).stat().st_mtime_ns == written_ns
