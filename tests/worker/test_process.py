"""The worker as the child process that it is in life: how it starts, what it says, how it ends."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from captiv_worker.settings import TOKEN, TOKEN_SHA256, parse
from PIL import Image

from . import conftest
from .conftest import DEADLINE_S, Hold, Spawn, environment, picture, until

KEY = {"Idempotency-Key": "k1", "Prefer": "wait=0", "Content-Type": "image/png"}


def test_it_says_where_it_listens_before_its_model_is_loaded(spawn: Spawn, hold: Hold) -> None:
    child = spawn("--name", "w7", script=hold.load)

    assert child.listening["event"] == "listening"
    assert child.listening["worker"] == "w7"
    health = child.client.get("/health")
    assert health.status_code == 503
    assert health.json()["boot_id"] == child.listening["boot_id"]


def test_it_ends_at_once_when_its_standard_input_closes(spawn: Spawn, hold: Hold) -> None:
    child = spawn(script=hold.script).ready()
    child.client.post("/api/caption", content=picture(), headers=KEY)
    hold.wait()

    assert child.process.stdin is not None
    child.process.stdin.close()

    assert child.process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_though_a_batch_runs(
    spawn: Spawn, hold: Hold, number: signal.Signals
) -> None:
    child = spawn(script=hold.script).ready()
    child.client.post("/api/caption", content=picture(), headers=KEY)
    hold.wait()

    child.process.send_signal(number)

    assert child.process.wait(DEADLINE_S) == 0


def test_a_key_whose_batch_ran_when_the_worker_was_killed_is_suspect(
    spawn: Spawn, hold: Hold, tmp_path: Path
) -> None:
    batch_file = tmp_path / "batch"
    arguments = ("--batch-file", str(batch_file), "--max-batch", "1")
    first = spawn(*arguments, script=hold.script).ready()
    first.client.post("/api/caption", content=picture("red"), headers=KEY)
    hold.wait()
    waiting = {**KEY, "Idempotency-Key": "k2"}
    first.client.post("/api/caption", content=picture("blue"), headers=waiting)
    first.process.kill()
    first.process.wait(DEADLINE_S)

    second = spawn(*arguments).ready()

    assert second.client.get("/api/caption/k1").json()["suspect"] is True
    assert second.client.get("/api/caption/k2").json()["suspect"] is False
    assert second.listening["boot_id"] != first.listening["boot_id"]
    assert not batch_file.exists()


def test_an_image_that_crashes_the_process_is_suspect_in_the_next_life(
    spawn: Spawn, tmp_path: Path
) -> None:
    arguments = ("--batch-file", str(tmp_path / "batch"))
    first = spawn(*arguments, script={"exit_on": ["red"]}).ready()
    with pytest.raises(httpx2.HTTPError):
        first.client.post(
            "/api/caption", content=picture("red"), headers={**KEY, "Prefer": "wait=30"}
        )
    assert first.process.wait(DEADLINE_S) != 0

    second = spawn(*arguments).ready()

    assert second.client.get("/api/caption/k1").json()["suspect"] is True


def test_nobody_is_suspect_after_an_end_on_purpose(
    spawn: Spawn, hold: Hold, tmp_path: Path
) -> None:
    arguments = ("--batch-file", str(tmp_path / "batch"))
    for close in (True, False):
        child = spawn(*arguments, script=hold.script).ready()
        assert child.client.get("/api/caption/k1").json()["suspect"] is False
        hold.started.unlink(missing_ok=True)
        child.client.post("/api/caption", content=picture(), headers=KEY)
        hold.wait()
        until((tmp_path / "batch").exists)
        assert child.process.stdin is not None
        if close:
            child.process.stdin.close()
        else:
            child.process.terminate()
        child.process.wait(DEADLINE_S)

    assert not (tmp_path / "batch").exists()


def test_a_lost_device_ends_the_process_with_an_error(spawn: Spawn, tmp_path: Path) -> None:
    arguments = ("--batch-file", str(tmp_path / "batch"))
    child = spawn(*arguments, script={"die_on": ["red"]}).ready()

    with suppress(httpx2.HTTPError):  # it may end before it has answered
        child.client.post("/api/caption", content=picture("red"), headers=KEY)

    assert child.process.wait(DEADLINE_S) == 1
    assert json.loads((tmp_path / "batch").read_text()) == ["k1"]


@pytest.mark.skipif(os.name == "nt", reason="ulimit is a shell's")
@pytest.mark.parametrize("form", ["multipart", "raw"])
def test_a_large_upload_touches_no_disk(spawn: Spawn, tmp_path: Path, form: str) -> None:
    child = spawn(no_files=True, env={"TMPDIR": str(tmp_path / "not" / "there")}).ready()
    limits = Path(f"/proc/{child.process.pid}/limits")
    if limits.exists():
        assert re.search(r"Max file size +0 +0 ", limits.read_text()), "no file may have a byte"
    out = io.BytesIO()
    Image.frombytes("RGB", (2640, 2640), os.urandom(2640 * 2640 * 3)).save(out, "BMP")
    image = out.getvalue()
    assert len(image) > 20_000_000
    before = files(tmp_path)

    if form == "multipart":
        answer = child.client.post("/api/caption", files={"image": ("a.bmp", image)})
    else:
        headers = {"Content-Type": "image/bmp"}
        answer = child.client.post("/api/caption", content=image, headers=headers)

    assert answer.status_code == 200, answer.text
    assert answer.json()["caption"]
    assert files(tmp_path) == before


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_the_token_is_in_no_log_no_argument_and_no_environment(spawn: Spawn) -> None:
    child = spawn("--log-level", "debug", env={TOKEN: "another-token-of-the-tests"}).ready()
    child.client.post("/api/caption", content=picture(), headers=KEY | {"Prefer": "wait=30"})
    child.client.get("/api/models", headers={"Authorization": "Bearer a-wrong-token"})

    process = Path("/proc") / str(child.process.pid)
    seen = child.log.read_text()
    if process.exists():
        seen += (process / "cmdline").read_text()

    assert "caption key=k1 batch=1 engine_s=" in seen
    for secret in (conftest.TOKEN, "another-token-of-the-tests", "a-wrong-token"):
        assert secret not in seen


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "captiv_worker", *arguments],
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        ((), {}, "there is no token"),
        (("--no-token", "--host", "0.0.0.0"), {}, "only 127.0.0.1"),
        (("--no-token",), {TOKEN: "x"}, "contradicts"),
        (("--stdin-token",), {}, "brought no token"),
        ((), {TOKEN_SHA256: "short"}, "no SHA-256"),
        (("--max-batch", "0"), {TOKEN: "x"}, "a number from 1"),
        (("--engine-options", "[]"), {TOKEN: "x"}, "JSON object"),
    ],
)
def test_it_does_not_start_with_wrong_arguments_or_without_a_token(
    arguments: tuple[str, ...], env: dict[str, str], says: str
) -> None:
    done = run(*arguments, env=env)

    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_port_that_is_taken_is_said(spawn: Spawn) -> None:
    taken = spawn().listening["url"].rpartition(":")[2]

    done = run("--port", taken, env={TOKEN: "x"})

    assert done.returncode == 1
    assert "cannot_listen" in done.stderr


def test_the_token_is_taken_out_of_the_environment() -> None:
    for given in ({TOKEN: "x"}, {TOKEN_SHA256: "ab" * 32}):
        settings = parse([], given)

        assert given == {}
        assert settings.token_sha256 is not None
        assert len(settings.token_sha256) == 32
