import os
import stat
import threading
from pathlib import Path

import pytest

from captiv.errors import ConfigurationError
from captiv.settings.file import clear, set_value, unset_value

WRITTEN = """\
# mine
[gui]   # the page
port = 1000  # my port

[runpod]
# a wish
default_gpu_type = "A"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN)
    return path


def test_a_change_keeps_comments_and_order(config: Path) -> None:
    set_value(config, "gui", "port", 2000)

    assert config.read_text() == WRITTEN.replace("1000", "2000")


def test_a_new_file_and_its_folder_are_closed_to_others(tmp_path: Path) -> None:
    config = tmp_path / "new" / "config.toml"

    set_value(config, "runpod", "api_key", "k")

    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert config.read_text() == '[runpod]\napi_key = "k"\n'


def test_an_open_file_is_closed_by_a_change(config: Path) -> None:
    config.chmod(0o644)

    set_value(config, "gui", "port", 1)

    assert stat.S_IMODE(config.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content", [b"[gui\nport = 1\n", b"\xff\xfe", b"[gui]\nport = 1\nport = 2\n"]
)
def test_a_malformed_file_is_never_touched(config: Path, content: bytes) -> None:
    config.write_bytes(content)

    for change in (
        lambda: set_value(config, "gui", "port", 1),
        lambda: unset_value(config, "gui", "port"),
        lambda: clear(config),
    ):
        with pytest.raises(ConfigurationError, match="line"):
            change()

    assert config.read_bytes() == content


def test_a_symlinked_file_is_changed_where_it_is(config: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.toml"
    link.parent.mkdir()
    link.symlink_to(config)

    set_value(link, "gui", "port", 2000)

    assert link.is_symlink()
    assert "2000" in config.read_text()
    assert [p.name for p in link.parent.iterdir()] == ["link.toml"]


def test_no_temporary_file_stays(config: Path) -> None:
    set_value(config, "gui", "port", 1)

    assert not list(config.parent.glob("*.tmp"))
    assert not list(config.parent.glob(".*.tmp"))


def test_a_failed_write_leaves_the_old_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(ConfigurationError, match="No space left"):
        set_value(config, "gui", "port", 2)

    assert config.read_text() == WRITTEN
    assert not list(config.parent.glob(".*.tmp"))


def test_unset_takes_a_value_and_its_empty_section(config: Path) -> None:
    assert unset_value(config, "gui", "port")
    assert not unset_value(config, "gui", "port")

    assert "[gui]" not in config.read_text()
    assert 'default_gpu_type = "A"' in config.read_text()


def test_clear_takes_one_section_or_all_and_says_what(config: Path) -> None:
    assert clear(config, "gui") == ["gui.port"]
    assert "# a wish" in config.read_text()

    assert clear(config) == ["runpod.default_gpu_type"]
    assert config.read_text().startswith("# mine")
    assert clear(config) == []


def test_two_writers_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captiv.settings.file.LOCK_TIMEOUT_S", 60.0)  # disks may be slow
    config = tmp_path / "config.toml"
    names = [f"k{i}" for i in range(12)]
    threads = [
        threading.Thread(target=set_value, args=(config, "generation", n, i))
        for i, n in enumerate(names)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(f"{name} = " in config.read_text() for name in names)


def test_a_value_where_the_section_should_be_is_refused(config: Path) -> None:
    config.write_text("gui = 3\n")

    with pytest.raises(ConfigurationError, match="no section"):
        set_value(config, "gui", "port", 1)

    assert config.read_text() == "gui = 3\n"


def test_line_endings_stay(config: Path) -> None:
    config.write_bytes(b"[gui]\r\nport = 1\r\n# end\r\n")

    set_value(config, "gui", "port", 2)

    assert config.read_bytes() == b"[gui]\r\nport = 2\r\n# end\r\n"
