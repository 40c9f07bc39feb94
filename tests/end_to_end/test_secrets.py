"""Key, secret and tokens are where they belong, and nowhere else, whatever becomes of a run.

Each run is watched from outside while it lasts (command lines and environments of captiv, of all
that it starts and of the pods' processes), and searched afterwards: what was said, every file of
the installation with its mode, the sidecars, the pods' logs, and what RunPod was told.
"""

import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from captiv.settings import installation_secret, worker_token
from captiv.testing.cloud import Cloud
from captiv.testing.cloud.container import descendants
from tests.cases import sampled
from tests.support import Ended, Home, finish, until

from .test_rented import rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

ACCOUNT_KEY = "rpa_CANARYCANARYCANARYCANARYCANARY00000KEY"
OTHER_TOKEN = "canary-token-of-a-worker-elsewhere-0123456789"
NOISY = ("--debug", "--verbose")


@dataclass
class Watched:
    """What was seen of processes: text by process, and what kind it was."""

    cmdlines: set[str] = field(default_factory=set)
    environs: set[str] = field(default_factory=set)

    def look(self, pids: list[int]) -> None:
        for pid in pids:
            with suppress(OSError):
                self.cmdlines.add(_text(Path(f"/proc/{pid}/cmdline").read_bytes()))
            with suppress(OSError):
                self.environs.add(_text(Path(f"/proc/{pid}/environ").read_bytes()))


def _text(raw: bytes) -> str:
    return raw.replace(b"\0", b"\n").decode(errors="replace")


@contextmanager
def watching(pids: Callable[[], list[int]]) -> Iterator[Watched]:
    """Look at processes again and again from a thread of its own."""
    watched, over = Watched(), threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            watched.look(pids())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()


@pytest.fixture
def guarded(home: Home) -> Home:
    """An installation that has the key and another worker's token in its configuration file."""
    for name, value in (("runpod.api_key", ACCOUNT_KEY), ("worker.token", OTHER_TOKEN)):
        assert home.run("config", "set", name, stdin=f"{value}\n").code == 0
    return home.scripted()


def run_watched(
    home: Home, cloud: Cloud, *arguments: str, meanwhile: Callable[[Any], None] = lambda _: None
) -> tuple[Ended, Watched, Watched]:
    """Run a command to its end; return it, and what was seen of its processes and of the pods'."""
    home.env.pop("RUNPOD_API_KEY", None)
    process = home.start(*arguments)
    with (
        watching(lambda: [process.pid, *descendants(process.pid)]) as ours,
        watching(cloud.processes) as pods,
    ):
        meanwhile(process)
        ended = finish(process, timeout=120)
    return ended, ours, pods


def secrets_of(home: Home, cloud: Cloud) -> dict[str, str]:
    """Return every secret of the installation by what it is."""
    secret = installation_secret(home.data / "data" / "secret.json")
    tokens = {f"token of {p.id}": worker_token(secret, p.name) for p in cloud.pods()}
    return {
        "API key": ACCOUNT_KEY,
        "secret": secret.key.hex(),
        "token of a worker elsewhere": OTHER_TOKEN,
    } | tokens


def assert_kept(
    home: Home, cloud: Cloud, said: Ended, ours: Watched, pods: Watched, *, local: bool = False
) -> None:
    secret = secrets_of(home, cloud)
    injected = {f"RunPod's key of {pod.id}": pod.key for pod in cloud.pods()}

    def none_of(known: dict[str, str], text: str, where: str) -> None:
        assert [what for what, value in known.items() if value in text] == [], where

    none_of(secret | injected, said.out + said.err, "what was said")
    assert ours.cmdlines
    for texts, kind in ((ours.cmdlines, "cmdline"), (ours.environs, "environment")):
        for text in texts:
            none_of(secret | injected, text, f"{kind} of captiv: {text[:80]}")
    for text in pods.cmdlines:
        none_of(secret | injected, text, f"cmdline in a pod: {text[:80]}")
    for text in pods.environs:
        none_of(secret, text, "environment in a pod")
        if "RUNPOD_POD_ID=" not in text:
            none_of(injected, text, "environment beside a pod")
    for pod in cloud.pods():
        none_of(secret | injected, str(pod.recipe()), f"what {pod.id} was made of")
        none_of(secret | injected, "\n".join(pod.log.texts()), f"log of {pod.id}")
    for call in cloud.history:
        none_of(secret, f"{call.path}{call.query}{call.body!r}", "a call")
        none_of(secret, call.answer.decode(errors="replace"), "an answer")
    assert_files(home, secret | injected)
    assert bool(pods.cmdlines) is not local


def assert_files(home: Home, known: dict[str, str]) -> None:
    """Two files hold secrets, and nothing else; what tells anything is closed to other users."""
    belongs = {"config.toml": {"API key", "token of a worker elsewhere"}, "secret.json": {"secret"}}
    files = [path for path in home.data.rglob("*") if path.is_file()]
    assert {"captiv.db", "captiv.log", "config.toml", "secret.json"} <= {p.name for p in files}
    for path in files:
        text = path.read_bytes().decode("latin-1")
        found = {what for what, value in known.items() if value in text}
        assert found == belongs.get(path.name, set()), path
        telling = path.name in belongs or ".db" in path.name or ".log" in path.name
        closed = path if telling else path.parent  # of the others, the folder is
        assert stat.S_IMODE(closed.stat().st_mode) & 0o077 == 0, f"others may read {closed}"
    for path in home.pictures.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("latin-1")
            assert [what for what, value in known.items() if value in text] == [], path


def generating(home: Home, *more: str) -> tuple[str, ...]:
    generate = ("caption", "generate", "--runpod", "--model", "shapes", "-r", str(home.pictures))
    return (*generate, *NOISY, *more)


def test_a_run_that_goes_well(guarded: Home) -> None:
    guarded.scenes(20)
    with rented(guarded, account_key=ACCOUNT_KEY, engine={"batch_s": 0.1}) as cloud:
        ended, ours, pods = run_watched(guarded, cloud, *generating(guarded, "--batch-size", "4"))
        keyed = {text for text in pods.environs if cloud.pods()[0].key in text}
        keyless = {text for text in pods.environs if "CAPTIV_GUARD_KEYS" in text}  # executed anew
        others = pods.environs - keyed - keyless
        workers = [text for text in others if "CAPTIV_WORKER_TOKEN_SHA256" in text]

        assert ended.code == 0, ended
        assert keyed | keyless, "the guard was not seen"
        assert not keyed & keyless, "the guard still shows the key that RunPod puts into its pod"
        assert workers, "the worker has that key, too, or was not seen"
        assert_kept(guarded, cloud, ended, ours, pods)


@pytest.mark.parametrize(
    ("mischief", "options"),
    [
        ("server_error", {"times": 2}),
        ("unprocessable", {"call": "create_pod"}),
        ("no_balance", {"times": None}),
        ("cloudflare_1010", {"times": None}),
    ],
)
def test_a_run_that_runpod_refuses_goes_on_here(
    guarded: Home, mischief: str, options: dict[str, Any]
) -> None:
    guarded.scenes(6)
    with rented(guarded, account_key=ACCOUNT_KEY) as cloud:
        cloud.mischief.arm(mischief, **options)
        ended, ours, pods = run_watched(guarded, cloud, *generating(guarded))

        assert ended.code == 0, ended
        assert_kept(guarded, cloud, ended, ours, pods, local=mischief != "server_error")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mischief", "options"),
    sampled(
        ("killed_mid_batch", {"after": 3, "what": "pod"}),
        ("proxy_down", {"times": 8, "status": 0}),
        ("killed_mid_batch", {"after": 3, "what": "worker"}),
        ("preempted", {"after": 5}),
        keep=2,
    ),
)
def test_a_run_that_loses_its_pod(guarded: Home, mischief: str, options: dict[str, Any]) -> None:
    guarded.scenes(20)
    with rented(guarded, account_key=ACCOUNT_KEY, engine={"batch_s": 0.1}) as cloud:
        cloud.mischief.arm(mischief, **options)
        ended, ours, pods = run_watched(guarded, cloud, *generating(guarded, "--batch-size", "4"))

        assert ended.code == 0, ended
        assert_kept(guarded, cloud, ended, ours, pods)


@pytest.mark.slow
def test_a_run_that_is_killed_and_goes_on(guarded: Home) -> None:
    guarded.scenes(30)

    def kill(process: "subprocess.Popen[str]") -> None:
        until(lambda: len(guarded.captions()) > 3)
        process.kill()

    with rented(guarded, account_key=ACCOUNT_KEY, engine={"batch_s": 0.2}) as cloud:
        command = generating(guarded, "--batch-size", "4")
        killed, *seen = run_watched(guarded, cloud, *command, meanwhile=kill)
        assert_kept(guarded, cloud, killed, *seen)
        again, *seen = run_watched(guarded, cloud, *command)

        assert again.code == 0, again
        assert_kept(guarded, cloud, again, *seen)


def test_commands_that_fail_with_a_traceback_of_everything(guarded: Home) -> None:
    with rented(guarded, account_key=ACCOUNT_KEY) as cloud:
        cloud.mischief.arm("unprocessable", call="create_pod")
        create = ("runpod", "create", "--model", "shapes", "--debug")
        ended, ours, pods = run_watched(guarded, cloud, *create)
        listed = guarded.run("config", "list", "--json")

        assert ended.code != 0
        assert "Traceback" in ended.err
        assert_kept(guarded, cloud, ended, ours, pods, local=True)
        for value in secrets_of(guarded, cloud).values():
            assert value not in listed.out + listed.err
