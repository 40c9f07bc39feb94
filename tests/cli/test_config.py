import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from captiv.settings.keys import all_keys

from .conftest import ROOT, Cli, command

SECRET = "rpa_N0tForAnyEyes"


@pytest.fixture
def config(captiv_home: Path) -> Path:
    return captiv_home / "config.toml"


@pytest.mark.parametrize(
    "form",
    [
        ["runpod", "api_key", SECRET],
        ["runpod.api_key", SECRET],
        [f"runpod.api_key={SECRET}"],
    ],
)
def test_the_three_forms_of_set(cli: Cli, config: Path, form: list[str]) -> None:
    ended = cli("config", "set", *form)

    assert ended.code == 0
    assert config.read_text() == f'[runpod]\napi_key = "{SECRET}"\n'
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert "history" in ended.err
    assert SECRET not in ended.out + ended.err


def test_a_value_may_hold_dots_blanks_and_equals_signs(cli: Cli) -> None:
    cli("config", "set", "output.prefix=a = b. ")
    cli("config", "set", "runpod.default_gpu_type", "NVIDIA L4")

    assert cli("config", "get", "output.prefix").out == "a = b. \n"
    assert cli("config", "get", "runpod", "default_gpu_type").out == "NVIDIA L4\n"


def test_a_value_that_begins_with_a_dash_comes_after_two(cli: Cli) -> None:
    assert cli("config", "set", "--", "output.suffix", "-x").code == 0
    assert cli("config", "get", "output.suffix").out == "-x\n"


def test_values_are_written_with_their_type(cli: Cli, config: Path) -> None:
    cli("config", "set", "gui.port", "80")
    cli("config", "set", "runpod.auto_create", "no")
    cli("config", "set", "runpod.max_price", "0.5")

    assert (
        config.read_text() == "[gui]\nport = 80\n\n[runpod]\nauto_create = false\nmax_price = 0.5\n"
    )


def test_a_secret_is_read_from_standard_input(cli: Cli) -> None:
    ended = cli("config", "set", "runpod.api_key", stdin=f"{SECRET}\nrest\n")

    assert ended.code == 0
    assert SECRET not in ended.out + ended.err
    assert "history" not in ended.err
    assert cli("config", "get", "runpod.api_key", "--reveal").out == f"{SECRET}\n"


def test_no_secret_on_standard_input_changes_nothing(cli: Cli, config: Path) -> None:
    assert cli("config", "set", "runpod", "api_key", stdin="\n").code == 2
    assert not config.exists()


@pytest.mark.skipif(os.name == "nt", reason="terminals")
def test_on_a_terminal_a_secret_is_typed_unseen(config: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command("config", "set", "runpod.api_key"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while not seen.endswith(b"(not shown): "):  # by then nothing is echoed
        seen += os.read(ours, 1000)
    os.write(ours, SECRET.encode() + b"\n")
    try:
        while chunk := os.read(ours, 1000):
            seen += chunk
    except OSError:
        pass  # how Linux says that the other side is closed
    os.close(ours)

    assert child.wait() == 0
    assert SECRET.encode() not in seen
    assert SECRET in config.read_text()


def test_secrets_are_masked_wherever_settings_are_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("config", "set", "runpod.api_key", stdin=SECRET)
    monkeypatch.setenv("CAPTIV_WORKER_TOKEN", "t0kenForNobody")
    monkeypatch.setenv("CAPTIV_WORKER_TOKENS", "box.example=t0kenForNobodyElse")

    said = ""
    for args in (["list"], ["list", "--json"], ["get", "runpod.api_key"], ["list", "worker"]):
        ended = cli("config", *args)
        said += ended.out + ended.err

    assert "********" in said
    assert SECRET not in said
    assert "t0kenForNobody" not in said


def test_list_shows_where_each_value_comes_from(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("config", "set", "gui.port", "80")
    monkeypatch.setenv("CAPTIV_GUI_HOST", "::1")

    lines = cli("config", "list", "gui").out.splitlines()

    assert "gui.port\t80\tfile (config.toml:2)" in lines
    assert "gui.host\t::1\tenvironment (CAPTIV_GUI_HOST)" in lines
    assert "gui.ssl_keyfile\t\tdefault" in lines


def test_list_as_json_has_every_setting(cli: Cli) -> None:
    tables = json.loads(cli("config", "list", "--json").out)

    assert {f"{s}.{k}" for s, keys in tables.items() for k in keys} == {str(k) for k in all_keys()}
    assert tables["gui"]["port"] == {"value": 7860, "origin": "default", "where": ""}


def test_get_without_a_value_ends_with_1(cli: Cli) -> None:
    ended = cli("config", "get", "runpod.api_key")

    assert (ended.code, ended.out) == (1, "")
    assert "not set" in ended.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["set", "runpod.api_kee", "x"], "Did you mean runpod.api_key?"),
        (["get", "runpot.api_key"], "Did you mean runpod.api_key?"),
        (["set", "output.sidecar_name", "both"], "one of stem, full"),
        (["set", "generation.num_beams", "99"], "from 1 to 32"),
        (["set", "gui.port"], "needs a value"),
        (["set", "gui"], "SECTION.KEY"),
        (["set", "runpod.max_price", "1", "2"], "SECTION.KEY"),
        (["set", "model.default_model", "blipp"], "The models: blip"),
        (["set", "model.blip_variant", "blip-huge"], "blip-base"),
        (["set", "model.blip_mode", "poem"], "Its modes: default"),
        (["set", "model.joycaption_length", "medium"], "medium-length"),
        (["unset", "gui.nix"], "[gui] has"),
        (["list", "guis"], "Did you mean gui?"),
        (["clear", "gooey", "--yes"], "The sections"),
        (["get", "gui.port=3"], "takes no value"),
    ],
)
def test_what_cannot_be_is_refused_with_the_choices(
    cli: Cli, config: Path, args: list[str], words: str
) -> None:
    ended = cli("config", *args)

    assert ended.code == 2
    assert words in ended.err
    assert not config.exists()


def test_a_hub_id_or_directory_may_be_the_default_model(cli: Cli) -> None:
    assert cli("config", "set", "model.default_model", "owner/name").code == 0
    assert cli("config", "set", "model.default_model", "./here").code == 0
    assert cli("config", "set", "model.default_model", "blip-base").code == 0


def test_a_malformed_file_is_named_with_its_line_and_left_alone(cli: Cli, config: Path) -> None:
    config.parent.mkdir()
    config.write_text("[gui]\nport = \n")

    for args in (["list"], ["set", "gui.port", "1"], ["unset", "gui.port"], ["clear", "--yes"]):
        ended = cli("config", *args)
        assert ended.code == 3
        assert "line 2" in ended.err
    assert config.read_text() == "[gui]\nport = \n"
    assert cli("config", "path").code == 0


def test_a_bad_value_can_be_righted_with_set_or_unset(cli: Cli, config: Path) -> None:
    config.parent.mkdir()
    config.write_text("[gui]\nport = 'x'\nprt = 1\n")

    assert cli("config", "list").code == 3
    assert cli("config", "set", "gui.port", "1").code == 0
    assert cli("config", "unset", "gui.prt").code == 0
    assert cli("config", "get", "gui.port").out == "1\n"


def test_set_keeps_comments(cli: Cli, config: Path) -> None:
    config.parent.mkdir()
    config.write_text("# mine\n[gui]\nport = 1  # why\n")

    cli("config", "set", "gui.port", "2")

    assert config.read_text() == "# mine\n[gui]\nport = 2  # why\n"


def test_set_says_when_the_environment_goes_before_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "other")

    assert "RUNPOD_API_KEY" in cli("config", "set", "runpod.api_key", stdin="x").err


def test_clear_asks_and_where_nobody_can_be_asked_refuses(cli: Cli, config: Path) -> None:
    cli("config", "set", "gui.port", "1")

    ended = cli("config", "clear", stdin="y\n")

    assert ended.code == 2
    assert "--yes" in ended.err
    assert "port" in config.read_text()
    assert cli("config", "clear", "--yes").code == 0
    assert config.read_text() == ""


def test_clear_of_one_section_leaves_the_others(cli: Cli, config: Path) -> None:
    cli("config", "set", "gui.port", "1")
    cli("config", "set", "output.prefix", "a")

    assert cli("config", "clear", "gui", "--yes").code == 0

    assert config.read_text().strip() == '[output]\nprefix = "a"'


def test_unset_of_what_is_not_set_is_no_error(cli: Cli) -> None:
    assert cli("config", "unset", "gui.port").code == 0


def test_a_named_file_is_made_by_set_and_has_to_be_there_otherwise(
    cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"

    assert cli("config", "list", "-c", file).code == 3
    assert cli("config", "set", "gui.port", "5", "-c", file).code == 0
    assert cli("config", "get", "gui.port", "-c", file).out == "5\n"


def test_a_setting_that_is_kept_and_not_used_says_so_where_it_is_set(cli: Cli) -> None:
    ended = cli("config", "set", "runpod.volume_disk_size", "60")

    assert ended.code == 0
    assert "runpod.volume_disk_size is kept, and not used" in ended.err
    assert "container_disk_size" in ended.err
    assert cli("config", "get", "runpod.volume_disk_size").out == "60\n"
    assert "not used" not in cli("config", "set", "runpod.container_disk_size", "60").err
