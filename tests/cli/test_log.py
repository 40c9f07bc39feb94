import logging
import multiprocessing
import stat
from pathlib import Path

import pytest

from captiv.cli import log
from captiv.cli.invocation import Invocation


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log" / "captiv.log"


def test_a_line_is_key_value_pairs_with_what_is_bound(file: Path) -> None:
    log.start(file)

    with log.bound(run=3), log.bound(job=17):
        logging.getLogger("captiv.x").info("sidecar written path=%s", "a\nb")

    line = file.read_text()
    assert line.count("\n") == 1
    assert "level=info" in line
    assert 'logger=captiv.x run=3 job=17 event="sidecar written path=a\\nb"' in line


def test_what_is_bound_ends_with_its_block(file: Path) -> None:
    log.start(file)
    with log.bound(run=3):
        pass

    logging.getLogger("captiv").info("x")

    assert "run=" not in file.read_text()


def test_no_file_before_the_first_line_and_then_one_of_mode_0600(file: Path) -> None:
    log.start(file)
    assert not file.exists()

    logging.getLogger("captiv").info("x")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_secrets_are_stars_even_in_a_traceback(file: Path) -> None:
    log.start(file)
    log.hide("hunter2")

    try:
        int("hunter2")
    except ValueError:
        logging.getLogger("captiv").exception("key rpa_ABCDEFGH123 Bearer abc.def hunter2")
    logging.getLogger("captiv").warning("RunPod refuses the key: invalid bearer token.")

    text = file.read_text()
    assert "********" in text
    assert "ValueError" in text
    assert "invalid bearer token." in text, "a word is no secret"
    for secret in ("hunter2", "rpa_ABCDEFGH123", "abc.def"):
        assert secret not in text


def test_the_token_of_every_worker_is_stars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIV_HOME", str(tmp_path))
    monkeypatch.setenv("CAPTIV_WORKER_TOKEN", "for-all")
    monkeypatch.setenv("CAPTIV_WORKER_TOKENS", "box=for-box, far:8000=for-far")

    Invocation().loaded()

    assert log.without_secrets("for-box, for-far, for-all") == "********, ********, ********"


def test_it_is_rotated_by_size(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_BYTES", 1000)
    log.start(file)

    for number in range(100):
        logging.getLogger("captiv").info("event number=%d", number)

    files = sorted(path.name for path in file.parent.iterdir())
    assert files == ["captiv.log", "captiv.log.1", "captiv.log.2", "captiv.log.3"]
    assert all(path.stat().st_size < 1300 for path in file.parent.iterdir())


def test_two_that_have_it_open_overwrite_nothing_of_each_other(file: Path) -> None:
    handlers = [log.LogFile(file), log.LogFile(file)]

    for number in range(6):
        record = logging.makeLogRecord({"msg": f"event-{number}", "name": "captiv"})
        handlers[number % 2].emit(record)
    for handler in handlers:
        handler.close()

    assert [line.rpartition("=")[2] for line in file.read_text().splitlines()] == [
        f"event-{number}" for number in range(6)
    ]


def _write(file: Path, name: str, count: int) -> None:
    log.start(file)
    for number in range(count):
        logging.getLogger("captiv").info("event name=%s number=%d", name, number)


def test_processes_share_it_and_no_line_is_torn(file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(file, name, 300)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    lines = file.read_text().splitlines()
    assert len(lines) == 600
    assert all(line.startswith("time=") and line.endswith('"') for line in lines)


def test_a_log_that_cannot_be_written_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("in the way")
    log.start(tmp_path / "log" / "captiv.log")

    logging.getLogger("captiv").info("x")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, ["notice"]),
        ({"verbose": True}, ["notice", "warning"]),
        ({"debug": True}, ["notice", "warning", "detail"]),
    ],
)
def test_a_person_sees_notices_and_more_on_request(
    file: Path, capsys: pytest.CaptureFixture[str], options: dict[str, bool], seen: list[str]
) -> None:
    log.start(file, **options)

    logging.getLogger("captiv.notice").warning("notice")
    logging.getLogger("captiv.x").warning("warning")
    logging.getLogger("captiv.x").debug("detail")

    assert capsys.readouterr().err.splitlines() == [f"captiv: {word}" for word in seen]
