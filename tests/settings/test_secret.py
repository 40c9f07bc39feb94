import json
import stat
import threading
from pathlib import Path

import pytest

from captiv.errors import ConfigurationError
from captiv.settings import Secret, installation_secret, worker_token


def test_it_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.json"

    first = installation_secret(path)

    assert installation_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first.key) == 32
    assert [p.name for p in path.parent.iterdir()] == ["secret.json"]


def test_processes_that_start_together_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    gate = threading.Barrier(8)
    found: list[Secret] = []

    def one() -> None:
        gate.wait()
        found.append(installation_secret(path))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_disk_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)

    first = installation_secret(tmp_path / "secret.json")

    assert installation_secret(tmp_path / "secret.json") == first


def test_one_that_others_could_read_is_closed_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "secret.json"
    secret = installation_secret(path)
    path.chmod(0o644)

    assert installation_secret(path) == secret

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "could be read by other users" in caplog.text
    assert secret.key.hex() not in caplog.text


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"id": "a", "key": "zz"}', '{"id": "", "key": ""}']
)
def test_a_damaged_one_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret.json"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(ConfigurationError, match="is damaged"):
        installation_secret(path)

    assert path.read_text() == text


def test_the_key_is_in_no_repr(tmp_path: Path) -> None:
    secret = installation_secret(tmp_path / "secret.json")

    assert secret.key.hex() not in repr(secret)
    assert str(secret.key) not in repr(secret)


def test_a_token_belongs_to_one_worker_of_one_installation(tmp_path: Path) -> None:
    here = installation_secret(tmp_path / "a.json")
    there = installation_secret(tmp_path / "b.json")

    tokens = {worker_token(s, name) for s in (here, there) for name in ("local", "pod-1")}

    assert len(tokens) == 4
    assert worker_token(here, "local") == worker_token(here, "local")
    assert all(len(token) == 64 and int(token, 16) for token in tokens)
    assert json.loads((tmp_path / "a.json").read_text())["key"] not in tokens
