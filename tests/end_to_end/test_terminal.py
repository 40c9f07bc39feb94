"""What a person sees of a run may fail: its terminal is closed, or what it prints to is full."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from captiv.store import Connection, Store
from tests.support import Home, finish, kill, until
from tests.terminals import Terminal, generating, terminal, under_a_shell

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals"),
]

COUNT = 60
FULL = Path("/dev/full")


def database(home: Home) -> Path:
    return home.data / "data" / "captiv.db"


def _states(conn: Connection) -> dict[str, int]:
    return dict(conn.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())


def states(home: Home) -> dict[str, int]:
    """How many images are in which state."""
    if not database(home).exists():
        return {}
    with Store.open(database(home), read_only=True) as store:
        return store.read(_states)


def images(home: Home) -> list[Path]:
    return sorted(home.pictures.rglob("*.png"))


def drained(home: Home, code: int) -> None:
    """Assert that nothing is lost, running or half done after a run that ended with this code."""
    left = states(home)
    assert not set(left) - {"pending", "done"}, (code, left)
    assert len(home.captions()) == left.get("done", 0), (code, left)
    assert len(set(home.worker_keys())) == len(home.worker_keys()) == left.get("done", 0)
    assert not home.workers()
    assert code == (0 if left.get("done") == COUNT else 130), (code, left)


def goes_on(home: Home) -> None:
    """Assert that the same command does the rest, and nothing twice."""
    assert home.generate("--batch-size", "4").code == 0
    assert len(home.captions()) == COUNT == len(set(home.worker_keys())) == len(home.worker_keys())


def slow(home: Home) -> Home:
    home.scripted(batch_s=0.1, load_s=0.3).scenes(COUNT)
    return home


def after(seconds: float) -> Callable[[Home], bool]:
    """Hold so long after the test began to look."""
    began: list[float] = []

    def past(_home: Home) -> bool:
        began.append(time.monotonic())
        return began[-1] - began[0] >= seconds

    return past


MOMENTS: dict[str, Callable[[Home], bool]] = {
    "at once": after(0.06),
    **{f"after {s} s": after(s) for s in (0.12, 0.2, 0.3, 0.45, 0.6)},
    "its folder is made": lambda home: home.data.exists(),
    "the job table is made": lambda home: database(home).exists(),
    "it is the dispatcher": lambda home: (home.data / "data" / "preparing").exists(),
    "the worker is started": lambda home: bool(home.workers()),
    "the worker has a log": lambda home: (home.data / "log" / "worker.log").exists(),
    "the first caption": lambda home: len(home.worker_keys()) >= 1,
    "a third": lambda home: len(home.captions()) >= COUNT // 3,
    "two thirds": lambda home: len(home.captions()) >= 2 * COUNT // 3,
    "the last caption": lambda home: len(home.captions()) == COUNT,
}
_SAMPLE = ("at once", "the worker is started", "a third")
"""What `--slow` closes; `--chaos` closes the others."""
OPTIONS = ("--verbose", "--debug", "--json")


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, marks=pytest.mark.slow if moment in _SAMPLE else pytest.mark.chaos)
        for moment in MOMENTS
    ],
)
def test_a_terminal_that_is_closed_at_any_moment_drains_the_run(home: Home, moment: str) -> None:
    slow(home)
    with terminal(home, generating(home, "--batch-size", "4")) as opened:
        until(lambda: MOMENTS[moment](home), moment, every_s=0.002)
        opened.close()
        code = opened.ended()

    if not home.data.exists() and code == -signal.SIGHUP:
        return  # before captiv's first line of code
    drained(home, code)
    goes_on(home)


@pytest.mark.slow
def test_a_hangup_is_caught_before_anything_else_is_done(home: Home) -> None:
    slow(home)
    with terminal(home, generating(home)) as opened:
        until(lambda: _catches(opened, signal.SIGHUP), "a handler", every_s=0.001)
        assert not home.data.exists()
        opened.close()

        assert opened.ended() == 130

    assert not home.workers()
    goes_on(home)


@pytest.mark.slow
def test_a_shell_that_hangs_up_as_well_ends_nothing_at_once(home: Home) -> None:
    """The kernel tells the foreground of a terminal, and the shell tells its jobs again."""
    code = home.folder / "code"
    home.scripted(batch_s=0.5).scenes(COUNT)
    with terminal(home, ["bash", "--norc", "--noprofile", "-i"]) as opened:
        opened.type(under_a_shell(home, code, "--batch-size", "4"))
        until(lambda: len(home.worker_keys()) >= 4, "a batch")
        opened.close()
        until(lambda: code.exists() and bool(code.read_text()), "the end of the run")

    drained(home, int(code.read_text()))
    goes_on(home)


def disowned(home: Home, *arguments: str) -> list[str]:
    """Return the command that a hang-up does not reach, though the terminal stays its output."""
    waiting = "import signal, os, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    waiting += "os.execv(sys.executable, sys.argv[1:])"
    return [sys.executable, "-c", waiting, *generating(home, "--batch-size", "4", *arguments)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "verbosity",
    [
        [],
        *(pytest.param([option], marks=pytest.mark.chaos) for option in OPTIONS),
    ],
)
def test_a_disowned_run_captions_everything_on_a_terminal_that_is_gone(
    home: Home, verbosity: list[str]
) -> None:
    slow(home)
    with terminal(home, disowned(home, *verbosity)) as opened:
        until(lambda: len(home.worker_keys()) >= 4, "a batch")
        opened.close()

        assert opened.ended() == 0

    drained(home, 0)


@pytest.mark.slow
def test_the_worker_of_a_disowned_run_may_die_after_its_terminal(home: Home) -> None:
    slow(home)
    with terminal(home, disowned(home)) as opened:
        until(lambda: len(home.captions()) >= 4, "a batch")
        opened.close()
        kill(home.workers())

        assert opened.ended() == 0

    drained(home, 0)


@pytest.mark.slow
def test_a_run_whose_worker_dies_after_the_closing_ends_with_what_it_has(home: Home) -> None:
    hold, log = home.held(), home.data / "log" / "captiv.log"
    home.scripted(hold=str(hold), hold_after=2).scenes(COUNT)
    with terminal(home, generating(home, "--batch-size", "4")) as opened:
        until(lambda: bool(home.captions()), "a caption")
        opened.close()
        until(lambda: "signal received name=SIGHUP" in log.read_text(), "the drain")
        kill(home.workers())
        code = opened.ended()

    assert code == 130
    done = len(home.captions())
    assert states(home) == {"done": done, "pending": COUNT - done}
    hold.unlink()
    assert home.generate().code == 0
    assert len(home.captions()) == COUNT


@pytest.mark.slow
def test_a_terminal_that_is_stopped_delays_nothing(home: Home) -> None:
    slow(home)
    with terminal(home, generating(home, "--batch-size", "4", "--verbose"), reads=False) as opened:
        until(lambda: len(home.worker_keys()) >= 4, "a batch")
        opened.stop()

        assert opened.ended() == 0

    drained(home, 0)


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux's")
@pytest.mark.parametrize(
    ("arguments", "out", "err", "code"),
    [
        ([], False, True, 0),
        *(pytest.param([o], False, True, 0, marks=pytest.mark.chaos) for o in OPTIONS),
        pytest.param([], True, True, 0, marks=pytest.mark.chaos),
        pytest.param(["--json"], True, False, 1, marks=pytest.mark.slow),
        pytest.param(["--json"], True, True, 1, marks=pytest.mark.chaos),
    ],
)
def test_a_full_disk_behind_what_is_printed_costs_no_caption(
    home: Home, arguments: list[str], out: bool, err: bool, code: int
) -> None:
    slow(home)
    with FULL.open("w") as full:
        ended = subprocess.run(
            generating(home, "--batch-size", "4", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=full if out else subprocess.PIPE,
            stderr=full if err else subprocess.PIPE,
            env=home.env,
            text=True,
            timeout=120,
            check=False,
        )

    drained(home, 0)
    assert ended.returncode == code, ended
    if out and not err:
        assert "Standard output is not whole: it cannot be written" in ended.stderr
        assert os.strerror(28) in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("which", ["stdout", "stderr"])
def test_a_reader_that_leaves_a_run_that_writes_sidecars_changes_nothing(
    home: Home, which: str
) -> None:
    slow(home)
    process = home.start_generate("--json", "--verbose", "--batch-size", "4")
    stream = getattr(process, which)
    stream.close()

    setattr(process, which, None)
    ended = finish(process)

    assert ended.code == 0, ended
    drained(home, 0)


@pytest.mark.slow
def test_a_reader_that_leaves_captions_that_go_nowhere_else_drains_the_run(home: Home) -> None:
    slow(home)
    process = home.start_generate("--no-save", "--batch-size", "4")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    ended = finish(process)

    assert ended.code == 141, ended
    assert 0 < states(home)["done"] < COUNT
    assert not home.captions()


@pytest.mark.slow
def test_a_reader_that_stops_reading_costs_no_caption(home: Home) -> None:
    """The pipe of standard error is full: a write to it would wait for ever."""
    slow(home)
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(theirs, b"x" * 65_536):
            pass
    os.set_blocking(theirs, True)
    process = subprocess.Popen(
        generating(home, "--batch-size", "4", "--verbose"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=home.env,
    )
    os.close(theirs)

    assert process.wait(120) == 0
    os.close(ours)
    drained(home, 0)


@pytest.mark.slow
def test_a_reader_that_is_slow_delays_no_caption_and_gets_every_line(home: Home) -> None:
    home.scripted().scenes(COUNT)
    long = "word " * 400
    process = home.start_generate("--json", "--prefix", long)
    until(lambda: len(home.captions()) == COUNT, "every caption, unread")  # 120 KB for a 64 KB pipe
    until(lambda: states(home) == {"done": COUNT}, "the end of the work")
    ended = finish(process)

    assert ended.code == 0, ended
    assert len([line for line in ended.lines if line.get("status") == "captioned"]) == COUNT
    assert ended.lines[-1]["status"] == "ended"


@pytest.mark.slow
def test_a_log_that_cannot_be_written_ends_nothing(home: Home) -> None:
    home.scripted().scenes(4)
    home.data.mkdir()
    (home.data / "log").write_text("a file where the folder of the logs should be")

    ended = home.generate("--verbose")

    assert ended.code == 0, ended
    assert len(home.captions()) == 4


def _catches(opened: Terminal, number: signal.Signals) -> bool:
    """Whether the command has a handler for this signal, as its system says."""
    status = Path(f"/proc/{opened.process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))
