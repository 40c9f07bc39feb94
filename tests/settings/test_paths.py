import stat
from pathlib import Path

import pytest

from captiv.errors import ConfigurationError
from captiv.settings import Paths
from captiv.settings.paths import private_folder


def test_captiv_home_moves_everything(tmp_path: Path) -> None:
    paths = Paths.find(environ={"CAPTIV_HOME": str(tmp_path)})

    places = [
        paths.config_file,
        paths.data_dir,
        paths.database,
        paths.lock_file,
        paths.secret_file,
        paths.log_file,
        paths.cache_dir,
    ]

    assert all(place.is_relative_to(tmp_path) for place in places)
    assert len(set(places)) == len(places)
    assert list(tmp_path.iterdir()) == []


def test_without_captiv_home_the_platform_says_where() -> None:
    paths = Paths.find(environ={})

    assert paths.config_file.is_absolute()
    assert "captiv" in str(paths.data_dir)


def test_a_relative_captiv_home_stays_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    paths = Paths.find(environ={"CAPTIV_HOME": "here"})

    assert paths.database.is_relative_to(tmp_path / "here")


def test_the_named_config_file_goes_before_the_environment(tmp_path: Path) -> None:
    environ = {"CAPTIV_HOME": str(tmp_path), "CAPTIV_CONFIG_FILE": str(tmp_path / "env.toml")}

    assert Paths.find(environ=environ).config_file == tmp_path / "env.toml"
    assert Paths.find(tmp_path / "own.toml", environ).config_file == tmp_path / "own.toml"
    assert Paths.find(tmp_path / "own.toml", environ).config_named


def test_made_folders_are_closed_to_others_and_old_ones_left_alone(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)

    private_folder(shared / "a" / "b")

    modes = [stat.S_IMODE((shared / part).stat().st_mode) for part in ("", "a", "a/b")]
    assert modes == [0o755, 0o700, 0o700]


def test_a_file_in_the_way_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot make its folder"):
        private_folder(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="cannot make its folder"):
        private_folder(tmp_path / "file" / "data")
