"""A token for each of several workers."""

from pathlib import Path
from typing import Any

import pytest

from captiv.errors import ConfigurationError
from captiv.settings import Paths, Settings
from captiv.settings.keys import find_key
from captiv.settings.sources import load


def token_for(url: str, **worker: Any) -> str | None:
    found = Settings.model_validate({"worker": worker}).worker.token_for(url)
    return None if found is None else found.get_secret_value()


def test_the_token_of_a_worker_is_that_of_its_host_and_port() -> None:
    tokens = "a.example=one, A.example:8000=two, [::1]:9=three"

    assert token_for("https://a.example/v1", tokens=tokens) == "one"
    assert token_for("https://A.EXAMPLE:8000", tokens=tokens) == "two"
    assert token_for("http://[::1]:9", tokens=tokens) == "three"
    assert token_for("https://b.example", tokens=tokens) is None
    assert token_for("https://b.example", tokens=tokens, token="all") == "all"


def test_a_table_in_the_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "captiv.toml"
    file.write_text('[worker.tokens]\n"a.example" = "one"\n"b.example:8000" = "two"\n')
    file.chmod(0o600)
    environ = {"CAPTIV_HOME": str(tmp_path)}

    worker = load(Paths.find(file, environ=environ), environ).worker

    assert [s.get_secret_value() for s in worker.secrets] == ["one", "two"]
    assert "one" not in repr(worker)


def test_the_environment_names_them_too(tmp_path: Path) -> None:
    environ = {"CAPTIV_HOME": str(tmp_path), "CAPTIV_WORKER_TOKENS": "a.example=one"}

    worker = load(Paths.find(environ=environ), environ).worker

    assert worker.tokens is not None
    assert [s.get_secret_value() for s in worker.secrets] == ["one"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("hidden", "HOST=TOKEN"),
        ("a.example=", "HOST=TOKEN"),
        ("=hidden", "HOST=TOKEN"),
        ("https://a.example=hidden", "by its host"),
        ({"a": {"example": "hidden"}}, "in quotes"),
        ({"a.example": "hidden,twice"}, "comma"),
    ],
)
def test_what_names_no_host_is_refused_and_not_repeated(value: object, words: str) -> None:
    key = find_key("worker", "tokens")
    assert key is not None
    assert key.secret

    with pytest.raises(ValueError, match=words) as refused:
        key.parse(value)

    assert "hidden" not in str(refused.value)


def test_a_bad_variable_is_refused_without_its_value(tmp_path: Path) -> None:
    environ = {"CAPTIV_HOME": str(tmp_path), "CAPTIV_WORKER_TOKENS": "hidden"}

    with pytest.raises(ConfigurationError, match="CAPTIV_WORKER_TOKENS") as refused:
        load(Paths.find(environ=environ), environ)

    assert "hidden" not in str(refused.value)
