from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from captiv.settings.keys import all_keys
from tests.support import Home, until

from .pages import PATIENCE_S, Page, Visitor, told

Launch = Callable[..., Page]
SECRET = "rpa_N0tForAnyEyes"


@pytest.fixture
def visitor(pictures: Path, launch: Launch) -> Visitor:
    return launch().visitor()


def put(visitor: Visitor, name: str, value: str) -> httpx2.Response:
    return visitor.http.put(f"/api/settings/{name.replace('.', '/')}", json={"value": value})


def setting(visitor: Visitor, name: str) -> dict[str, Any]:
    sections = visitor.get("/api/settings")["sections"]
    (found,) = [
        s
        for section in sections
        for s in section["settings"]
        if f"{s['section']}.{s['name']}" == name
    ]
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
def test_every_setting_is_shown_with_what_it_is_for(visitor: Visitor) -> None:
    sections = visitor.get("/api/settings")["sections"]

    shown = [f"{s['section']}.{s['name']}" for section in sections for s in section["settings"]]
    assert shown == [str(key) for key in all_keys()]
    assert all(s["about"] for section in sections for s in section["settings"])


@pytest.mark.slow
def test_a_value_is_written_to_the_file_and_taken_out_again(home: Home, visitor: Visitor) -> None:
    now = put(visitor, "runpod.max_price", "0.5").json()

    assert (now["value"], now["from"], now["where"]) == ("0.5", "file", "config.toml:2")
    assert (home.data / "config.toml").read_text() == "[runpod]\nmax_price = 0.5\n"
    assert home.run("config", "get", "runpod.max_price").out == "0.5\n"
    back = visitor.http.delete("/api/settings/runpod/max_price").json()
    assert (back["value"], back["from"]) == ("1.5", "default")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gui.port", "many", "gui.port must be a whole number from 0 to 65535, not 'many'."),
        ("model.default_model", "blipp", "There is no model 'blipp'."),
        ("runpod.api_url", "http://evil.example", "the key would travel readable"),
        ("output.prefix", "two\nlines", "output.prefix is one line."),
    ],
)
def test_a_wrong_value_is_refused_in_the_words_of_the_command_line(
    home: Home, visitor: Visitor, name: str, value: str, words: str
) -> None:
    refused = put(visitor, name, value)

    assert refused.status_code == 400
    assert words in refused.json()["detail"]
    assert not (home.data / "config.toml").exists()


@pytest.mark.slow
def test_an_unknown_setting_is_refused(visitor: Visitor) -> None:
    assert put(visitor, "gui.prot", "1").status_code == 400
    assert put(visitor, "gui.port", "").status_code == 400


@pytest.mark.slow
def test_a_secret_goes_in_and_never_comes_out(home: Home, visitor: Visitor) -> None:
    answers = [
        put(visitor, "runpod.api_key", SECRET),
        put(visitor, "worker.token", SECRET),
        visitor.http.get("/api/settings"),
        visitor.http.get("/"),
    ]

    assert f'api_key = "{SECRET}"' in (home.data / "config.toml").read_text()
    now = setting(visitor, "runpod.api_key")
    assert (now["set"], now["value"], now["from"]) == (True, None, "file")
    for answer in answers:
        assert answer.status_code == 200
        assert SECRET not in answer.text
    assert SECRET not in (home.data / "log" / "captiv.log").read_text()


@pytest.mark.slow
def test_what_the_environment_says_goes_before_the_file_and_is_named(
    home: Home, pictures: Path, launch: Launch
) -> None:
    home.env |= {"CAPTIV_GUI_HOST": "127.0.0.1", "RUNPOD_API_KEY": SECRET}
    visitor = launch().visitor()

    put(visitor, "gui.host", "0.0.0.0")

    now = setting(visitor, "gui.host")
    assert (now["value"], now["from"], now["overridden_by"]) == (
        "127.0.0.1",
        "environment",
        "CAPTIV_GUI_HOST",
    )
    key = setting(visitor, "runpod.api_key")
    assert (key["set"], key["value"], key["overridden_by"]) == (True, None, "RUNPOD_API_KEY")


@pytest.mark.slow
def test_what_begins_afterwards_goes_by_the_new_settings(home: Home, visitor: Visitor) -> None:
    # One on the page, one by the command line in another terminal.
    put(visitor, "output.extension", ".caption")
    home.run("config", "set", "output.sidecar_name", "full")
    visitor.get("/api/settings")

    visitor.write(visitor.image("scene-0001.png"), "a new one")

    assert (home.pictures / "scene-0001.png.caption").read_text() == "a new one"


@pytest.mark.slow
def test_captions_are_looked_for_where_the_settings_say(home: Home, visitor: Visitor) -> None:
    (home.pictures / "scene-0001.caption").write_text("from elsewhere")

    put(visitor, "output.extension", ".caption")

    found = lambda: visitor.image("scene-0001.png")["caption"] == "from elsewhere"  # noqa: E731
    until(found, "the other sidecar is read", every_s=0.1)


@pytest.mark.slow
def test_other_tabs_are_told(visitor: Visitor) -> None:
    with visitor.live() as socket:
        socket.recv(timeout=PATIENCE_S)
        put(visitor, "gui.port", "80")

        assert told(socket, "settings") == {"changed": "gui.port"}


@pytest.mark.slow
def test_a_file_that_was_spoiled_by_hand_is_told(home: Home, visitor: Visitor) -> None:
    (home.data / "config.toml").write_text("[gui\n")

    answer = visitor.http.get("/api/settings")

    assert answer.status_code == 409
    assert "config.toml, line 1" in answer.json()["detail"]
