import subprocess
import sys
from pathlib import Path

from captiv.core.jobs import SessionId
from captiv.store import Lease, Store, lease, runs

from . import scene

HOLD = """
import subprocess, sys
from pathlib import Path
from captiv.store import Lease
held = Lease(Path(sys.argv[1]))
print(held.acquire(), flush=True)
if len(sys.argv) > 2:
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    child = subprocess.Popen(waiting, stdin=sys.stdin)
    print(child.pid, flush=True)
sys.stdin.read()
"""


def _hold(path: Path, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_process_holds_the_lease_and_its_death_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "captiv.lock"
    with _hold(path) as holder, Lease(path) as mine:
        assert _said(holder) == "True"
        assert not mine.acquire()
        assert not mine.held

        holder.kill()
        holder.wait()

        assert mine.acquire()
        assert mine.held


def test_children_do_not_inherit_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "captiv.lock"
    with _hold(path, "with a child") as holder, Lease(path) as mine:
        assert _said(holder) == "True"
        child = int(_said(holder))
        holder.kill()
        holder.wait()

        assert Path(f"/proc/{child}").exists() or sys.platform != "linux"
        assert mine.acquire()


def test_a_lease_given_back_is_free(tmp_path: Path) -> None:
    one, other = Lease(tmp_path / "captiv.lock"), Lease(tmp_path / "captiv.lock")
    with one, other:
        assert one.acquire()
        assert one.acquire()
        assert not other.acquire()

        one.release()

        assert other.acquire()
        assert not one.held


def test_the_last_dispatcher_is_named_until_it_ends(store: Store) -> None:
    assert store.read(lease.dispatcher) is None
    store.write(lease.begin_session, 10, "here", "follower", 1)
    session = store.write(lease.begin_session, 11, "there", "dispatcher", 2)
    store.write(lease.beat, session, 9)

    assert store.read(lease.dispatcher) == lease.Session(session, 11, "there", "dispatcher", 2, 9)

    store.write(lease.end_session, session, 10)
    assert store.read(lease.dispatcher) is None


def test_a_follower_becomes_the_dispatcher(store: Store) -> None:
    session = store.write(lease.begin_session, 10, "here", "follower", 1)

    store.write(lease.become_dispatcher, session, 2)

    found = store.read(lease.dispatcher)
    assert found is not None
    assert found.id == session


def test_a_session_that_ends_wants_nothing_any_more(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store)
    store.write(runs.want, run.id, session, 5)

    store.write(lease.end_session, session, 6)

    assert store.read(runs.wanted, 0) == []
