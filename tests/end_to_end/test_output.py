"""Where captions go and what becomes of what is there: options of the output, through real runs."""

from pathlib import Path

import pytest

from captiv.dispatch.events import FIRST_LINE_ONLY
from tests.support import Home

pytestmark = pytest.mark.timeout(300)


def test_answers_of_several_lines_are_warned_of_once_and_counted(home: Home) -> None:
    home.scripted(several_lines=True).scenes(3, nested=False)

    ended = home.generate()
    as_json = home.generate("--overwrite", "--json")

    assert ended.code == 0, ended
    assert ended.err.count(FIRST_LINE_ONLY) == 1
    assert "3 captions have several lines, of which some trainers read only the first" in ended.err
    assert as_json.lines[-1]["several_lines"] == 3
    log = (home.data / "log" / "captiv.log").read_text()
    assert log.count("answers of several lines") == 2, "once in each command"
    assert all(len(text.splitlines()) == 3 for text in home.captions().values())


def test_one_line_makes_a_line_of_each_and_is_a_setting_too(home: Home) -> None:
    home.scripted(several_lines=True).scenes(2, nested=False)

    ended = home.generate("--one-line", "--json")
    captions = home.captions()
    home.run("config", "set", "output.one_line", "true")
    by_setting = home.generate("--overwrite", "--json")
    against_it = home.generate("--overwrite", "--no-one-line", "--json")

    assert ended.code == 0, ended
    assert len(captions) == 2
    assert all(", mostly " in text and "\n" not in text for text in captions.values())
    assert [e.lines[-1]["several_lines"] for e in (ended, by_setting, against_it)] == [0, 0, 2]
    assert FIRST_LINE_ONLY not in ended.err
    told = {line["path"]: line["caption"] for line in ended.lines if line["status"] == "captioned"}
    assert told == {
        str(home.pictures / Path(n).with_suffix(".png")): t for n, t in captions.items()
    }
