import logging
from pathlib import Path

import pytest

from captiv.errors import ConfigurationError
from captiv.settings import Loaded, Paths, load, read
from captiv.settings.keys import find_key


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.find(environ={"CAPTIV_HOME": str(tmp_path)})


def write(paths: Paths, text: str) -> None:
    paths.config_file.write_text(text)
    paths.config_file.chmod(0o600)


def origin(loaded: Loaded, section: str, name: str) -> str:
    key = find_key(section, name)
    assert key is not None
    return str(loaded.origin(key))


def test_without_a_file_everything_is_default(paths: Paths) -> None:
    loaded = read(paths, {})

    assert loaded.settings.gui.port == 7860
    assert origin(loaded, "gui", "port") == "default"
    assert not paths.config_file.exists()


def test_environment_goes_before_file_before_default(paths: Paths) -> None:
    write(paths, "[gui]\nport = 1000\nhost = '0.0.0.0'\n")

    loaded = read(paths, {"CAPTIV_GUI_PORT": "2000"})

    assert loaded.settings.gui.port == 2000
    assert loaded.settings.gui.host == "0.0.0.0"
    assert origin(loaded, "gui", "port") == "environment (CAPTIV_GUI_PORT)"
    assert origin(loaded, "gui", "host") == "file (config.toml:3)"


def test_the_names_that_others_gave_their_variables_work_too(paths: Paths) -> None:
    settings = load(paths, {"RUNPOD_API_KEY": "k", "CAPTIV_WORKER_TOKEN": "t"})

    assert settings.runpod.api_key is not None
    assert settings.runpod.api_key.get_secret_value() == "k"
    assert settings.worker.token is not None
    assert settings.worker.token.get_secret_value() == "t"


def test_captivs_own_variable_goes_before_the_common_one(paths: Paths) -> None:
    settings = load(paths, {"RUNPOD_API_KEY": "common", "CAPTIV_RUNPOD_API_KEY": "own"})

    assert settings.runpod.api_key is not None
    assert settings.runpod.api_key.get_secret_value() == "own"


def test_an_empty_variable_is_none(paths: Paths) -> None:
    assert load(paths, {"CAPTIV_GUI_PORT": "", "RUNPOD_API_KEY": ""}).runpod.api_key is None


def test_an_empty_variable_may_say_that_no_gpu_type_is_wished_for(paths: Paths) -> None:
    paths.config_file.parent.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text('[runpod]\ndefault_gpu_type = "NVIDIA L4"\n')

    assert load(paths, {"CAPTIV_RUNPOD_DEFAULT_GPU_TYPE": ""}).runpod.default_gpu_type == ""
    assert load(paths, {}).runpod.default_gpu_type == "NVIDIA L4"


def test_a_bad_variable_is_named(paths: Paths) -> None:
    with pytest.raises(ConfigurationError, match=r"CAPTIV_GUI_PORT must be .* not 'x'"):
        load(paths, {"CAPTIV_GUI_PORT": "x"})


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("# a\n[gui]\nprt = 1\n", "config.toml, line 3: there is no setting gui.prt", "gui.port?"),
        ("\n[gooey]\nport = 1\n", "line 2: there is no section or key 'gooey'", "gui"),
        ("[gui]\nport = 'x'\n", "line 2: gui.port must be a whole number", "unset gui.port"),
        ("gui = 3\n", "line 1: gui is a section", "gui"),
        ("port = 3\n", "line 1: there is no section or key 'port'", "gui.port?"),
        ("gui.prt = 3\n", "line 1: there is no setting gui.prt", "gui.port?"),
        ("[output]\nprefix = 'a'\n[gui]\nprefix = 1\n", "line 4: there is no", "[gui] has"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_line(
    paths: Paths, text: str, words: str, hint: str
) -> None:
    write(paths, text)

    with pytest.raises(ConfigurationError) as caught:
        load(paths, {})

    assert words in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"[gui]\nport = \n", "line 2"),
        (b"[gui]\nport = 1\nport = 2\n", "line 3"),
        (b"[gui]\nhost = '\xff'\n", "line 2"),
        (b'[gui]\nhost = """never ends\n', "line 2"),
    ],
)
def test_a_file_that_is_not_toml_is_an_error_with_its_line(
    paths: Paths, text: bytes, line: str
) -> None:
    paths.config_file.write_bytes(text)

    with pytest.raises(ConfigurationError) as caught:
        load(paths, {})

    assert line in caught.value.message
    assert paths.config_file.read_bytes() == text


def test_a_bad_secret_in_the_file_is_not_repeated(paths: Paths) -> None:
    write(paths, "[runpod]\napi_key = 123456789\n")

    with pytest.raises(ConfigurationError) as caught:
        load(paths, {})

    assert "123456789" not in f"{caught.value} {caught.value.hint}"


def test_a_byte_order_mark_is_read_over(paths: Paths) -> None:
    paths.config_file.write_bytes(b"\xef\xbb\xbf[gui]\r\nport = 1\r\n")

    assert load(paths, {}).gui.port == 1


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    paths = Paths.find(tmp_path / "typo.toml", environ={"CAPTIV_HOME": str(tmp_path)})

    with pytest.raises(ConfigurationError, match=r"no configuration file .*typo\.toml"):
        load(paths, {})


def test_a_secret_that_others_can_read_is_said(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    write(paths, "[runpod]\napi_key = 'hidden'\n")
    paths.config_file.chmod(0o644)

    with caplog.at_level(logging.WARNING):
        load(paths, {})

    assert "chmod 600" in caplog.text
    assert "hidden" not in caplog.text
