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


@pytest.mark.parametrize("model", ["qwen-vl", "joycaption", "smolvlm"])
def test_what_keeps_a_text_from_repeating_itself_is_off_unless_a_person_says_so(
    tmp_path: Path, model: str
) -> None:
    usual = asked(tmp_path, model=model, schema="objects").captioning.generation
    said = {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2, "presence_penalty": 1.5}
    mine = asked(tmp_path, model=model, schema="objects", generation=said)

    off = {"no_repeat_ngram_size": 0, "repetition_penalty": 1.0, "presence_penalty": 0.0}
    assert usual.model_dump().items() >= off.items()
    assert mine.captioning.generation.model_dump().items() >= said.items()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "blip"}, "blip is no chat model"),
        ({"model": "florence2"}, "florence2 is no chat model"),
        ({"model": "shapes"}, "shapes is no chat model"),
        ({"add": "after"}, "--add adds to a text"),
        ({"extension": "json"}, "--schema already writes .json files"),
        ({"schema": "no-such-thing"}, "There is no schema 'no-such-thing'"),
        ({"schema": ""}, "--schema is empty"),
        ({"schema": "~no-such-user/x.json"}, "There is no schema '~no-such-user/x.json'"),
        ({"schema": "folder"}, "There is no schema 'folder': it is a folder"),
        ({"schema": "large.json"}, "more than 64 kB"),
        ({"schema": "latin.json"}, "isn't text in UTF-8"),
        ({"schema": "list.json"}, "it must describe an object"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("large.json").write_text(" " * 70_000)
    Path("latin.json").write_bytes(b'{"title": "\xe9"}')
    Path("list.json").write_text("[]")

    with pytest.raises(UsageError) as refused:
        asked(tmp_path, **{"schema": "objects", **options})

    assert words in refused.value.message
