"""This machine is short of something: no image's fault, and said in words."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases import sampled
from tests.end_to_end.test_terminal import states
from tests.support import Ended, Home, finish, until
from tests.terminals import generating

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them"),
]
AS_ROOT = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="takes root")


def limited(home: Home, limit: str, *arguments: str) -> Ended:
    """Caption with one of the shell's limits."""
    line = f"ulimit {limit} && exec {shlex.join(generating(home, *arguments))}"
    done = subprocess.run(
        ["bash", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=home.env,
        cwd=home.pictures,
        timeout=240,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("files", sampled(64, 128))
def test_few_open_files_fail_no_image(home: Home, files: int) -> None:
    home.scripted(batch_s=0.2).scenes(200)

    ended = limited(home, f"-n {files}", "--batch-size", "256")

    assert ended.code == 0, ended
    assert states(home) == {"done": 200}


@pytest.mark.slow
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(home: Home) -> None:
    hold = home.held()
    home.scripted(hold=str(hold)).scenes(4)
    line = f"ulimit -Sn 64; ulimit -Hn 2000; exec {shlex.join(generating(home))}"
    process = subprocess.Popen(
        ["bash", "-c", line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=home.env,
    )
    until(lambda: bool(home.workers()), "a worker")
    limits = [_open_files(pid) for pid in (process.pid, *home.workers())]
    hold.unlink()

    assert finish(process).code == 0
    assert set(limits) == {"2000"}


@pytest.mark.slow
def test_a_file_that_its_disk_fails_to_read_fails_alone(home: Home) -> None:
    home.scripted(batch_s=0.3).scenes(60, nested=False)
    (home.pictures / "bad.png").symlink_to("/proc/self/mem")  # a file that reads as EIO

    ended = home.generate("--json", "--batch-size", "4")

    assert ended.code == 1, ended
    (failed,) = [o for o in ended.lines if o.get("status") == "failed"]
    assert failed["path"].endswith("bad.png")
    assert failed["reason"] == (
        "the file cannot be read, though others can: the disk fails to read or write"
    )
    assert len(home.captions()) == 60


@pytest.mark.slow
def test_a_job_table_that_may_not_grow_says_so(home: Home) -> None:
    home.scripted().scenes(60)

    ended = limited(home, "-f 200")

    assert ended.code == 3, ended
    assert "ulimit -f" in ended.err
    assert home.generate().code == 0
    assert len(home.captions()) == 60


@pytest.fixture
def small_disk(home: Home) -> Iterator[Path]:
    """A disk for the pictures with few inodes."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=40", "tmpfs", str(home.pictures)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield home.pictures
    subprocess.run(["umount", "-l", str(home.pictures)], check=True)


@AS_ROOT
@pytest.mark.slow
def test_a_disk_without_inodes_is_told_from_a_full_one(home: Home, small_disk: Path) -> None:
    home.scripted().scenes(30, nested=False)

    ended = home.generate()

    assert ended.code == 1, ended
    assert "the disk has space, and no inode left for another file" in ended.err
    assert 0 < len(home.captions()) < 30
    for picture in sorted(small_disk.glob("*.png"))[-24:]:
        if picture.with_suffix(".txt").exists():
            picture.unlink()
            picture.with_suffix(".txt").unlink()
    again = home.run("queue", "retry")
    assert again.code in (0, 1), again


@AS_ROOT
def test_few_threads_fail_no_image() -> None:
    """Root has no such limit: another user runs it."""
    with tempfile.TemporaryDirectory(prefix="captiv-threads-") as folder:
        Path(folder).chmod(0o755)
        _few_threads_do(Home(Path(folder) / "home"))


def _few_threads_do(home: Home) -> None:
    home.scripted(batch_s=0.1).scenes(60)
    user = 64_321
    for path in (home.folder, *home.folder.rglob("*")):
        os.chown(path, user, user)
    threads = 24
    line = f"exec {shlex.join(generating(home, '--batch-size', '4'))}"
    done = subprocess.run(
        ["bash", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=home.env | {"HOME": str(home.folder)},
        cwd="/",
        timeout=240,
        check=False,
        preexec_fn=lambda: _few_threads(user, threads),
    )
    if "Permission denied" in done.stderr:
        pytest.skip("another user cannot read this installation")

    assert done.returncode == 0, done.stderr
    assert states(home) == {"done": 60}


def _few_threads(user: int, threads: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def _open_files(pid: int) -> str:
    line = next(
        line
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
        if line.startswith("Max open files")
    )
    return line.split()[3]
