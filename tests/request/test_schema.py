"""`--schema`: which schema a run asks for, and what is refused before anything is begun."""

import json
from pathlib import Path
from typing import Any

import pytest

from captiv.core.structure import NAMED
from captiv.errors import UsageError
from captiv.request.options import Options
from captiv.request.run import request
from captiv.settings import Settings


def asked(tmp_path: Path, **options: Any) -> Any:
    spec, _ = request(Options(paths=[tmp_path], **{"model": "qwen-vl", **options}), Settings())
    return spec


def test_the_run_keeps_the_schema_itself_and_needs_no_file_later(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"type": "object",\n "properties": {"mood": {"type": "string"}}}')

    spec = asked(tmp_path, schema=str(file))

    assert json.loads(spec.captioning.answer_schema) == json.loads(file.read_text())
    assert spec.captioning.answer_schema in spec.captioning.prompt
    assert str(file) not in spec.model_dump_json()
    assert spec.files_of("/p/a.jpg") == ("/p/a.txt", "/p/a.json")


def test_another_schema_is_another_run_and_none_is_the_run_that_it_was(tmp_path: Path) -> None:
    plain, tags, objects = (asked(tmp_path, schema=name) for name in (None, *NAMED))

    assert len({each.fingerprint() for each in (plain, tags, objects)}) == 3
    assert plain.captioning.answer_schema is None
    assert "answer_schema" not in plain.captioning.model_dump(exclude_defaults=True)
    assert plain.files_of("/p/a.jpg") == ("/p/a.txt",)


def test_an_object_may_be_longer_than_a_text_unless_a_person_says_how_long(tmp_path: Path) -> None:
    usual = asked(tmp_path, schema="objects").captioning.generation
    said = asked(tmp_path, schema="objects", generation={"max_new_tokens": 64})

    assert usual.max_new_tokens >= 1024
    assert usual.min_new_tokens == 0
    assert said.captioning.generation.max_new_tokens == 64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "blip"}, "blip is no chat model"),
        ({"model": "florence2"}, "florence2 is no chat model"),
        ({"model": "shapes"}, "shapes is no chat model"),
        ({"add": "after"}, "--add adds to a text"),
        ({"extension": "json"}, "--extension .json the texts"),
        ({"schema": "no-such-thing"}, "There is no schema 'no-such-thing'"),
        ({"schema": ""}, "--schema is empty"),
        ({"schema": "large.json"}, "more than 64 kB"),
        ({"schema": "latin.json"}, "isn't text in UTF-8"),
        ({"schema": "list.json"}, "it describes no object"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("large.json").write_text(" " * 70_000)
    Path("latin.json").write_bytes(b'{"title": "\xe9"}')
    Path("list.json").write_text("[]")

    with pytest.raises(UsageError) as refused:
        asked(tmp_path, **{"schema": "objects", **options})

    assert words in refused.value.message
