"""`captiv runpod` over the simulated cloud, where pods are real guards and workers."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from captiv.clock import now_ms
from captiv.core.jobs import RunId, SessionId
from captiv.core.pods import PodRow, pod_name
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import CreatePod, GpuRequest
from captiv.settings import Paths, installation_secret
from captiv.store import Lease, Store, pods, runs
from captiv.testing.cloud import Cloud, running
from tests.support import SCRIPTED, until

from .conftest import Cli, Ended, command, ready_database
from .test_queue import AN_HOUR_MS, NOW, make_run

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.allow_blocking,  # a command alone on its loop waits for nobody else
]

A5000 = "NVIDIA RTX A5000"


@pytest.fixture(scope="module")
def box() -> Iterator[Cloud]:
    arguments = ("--engine", SCRIPTED)
    times: dict[str, Any] = {
        "provisioning_s": 0,
        "pulling_s": 0,
        "stop_grace_s": 0.2,
        "billing_lag_s": 0,
    }
    with running(worker_args=arguments, **times) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nobody_is_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker or an account that answers late is no silent one."""
    monkeypatch.setattr("captiv.rental.views._HEALTH_S", 60.0)
    monkeypatch.setattr("captiv.cli.accountcheck.LIMIT_S", 60.0)


@pytest.fixture
def cloud(box: Cloud, captiv_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud that the settings name; whatever a test leaves in it, is a failure."""
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CAPTIV_RUNPOD_IMAGE", "captiv/worker:test")
    ready_database(captiv_home)
    yield box
    box.mischief.disarm()
    left = box.pods_alive()
    for pod in left:  # not for the next test to stumble over
        anyio.run(end, box, pod)
    assert box.account_key not in said(captiv_home)
    assert left == []


def said(home: Path) -> str:
    """Return all that was logged and kept."""
    files = [file for file in home.rglob("*") if file.is_file()]
    return "".join(file.read_bytes().decode("latin-1") for file in files)


async def end(cloud: Cloud, pod: str) -> None:
    async with RunpodApi(cloud.account_key, url=cloud.api_url) as api:
        await api.terminate(pod)


@dataclass
class Account:
    """What a test does with the account behind captiv's back."""

    cloud: Cloud
    home: Path

    @property
    def installation(self) -> str:
        paths = Paths.find()
        paths.make_data_dir()
        return installation_secret(paths.secret_file).id

    def make(self, name: str) -> str:
        async def made() -> str:
            async with RunpodApi(self.cloud.account_key, url=self.cloud.api_url) as api:
                wanted = CreatePod(name=name, image="captiv/worker:test", gpu=GpuRequest(id=A5000))
                return (await api.create(wanted)).id

        return anyio.run(made)

    def creates(self) -> int:
        """Return how often a pod was asked for."""
        return sum(call.operation == "create_pod" for call in list(self.cloud.history))

    def orphan(self) -> str:
        """Make a pod of a run that is not there any more."""
        return self.make(pod_name("runpod", self.installation, RunId(77), "t"))

    def row(self, pod: str) -> PodRow:
        with Store.open(self.home / "data" / "captiv.db", read_only=True) as store:
            found = store.read(pods.find, "runpod", pod)
        assert found is not None
        return found


@pytest.fixture
def account(cloud: Cloud, captiv_home: Path) -> Account:
    return Account(cloud, captiv_home)


def quiet_about_the_key(cloud: Cloud, ended: Ended) -> Ended:
    assert cloud.account_key not in ended.out + ended.err
    return ended


@pytest.mark.slow
def test_the_life_of_a_pod_made_by_hand(process: Cli, cli: Cli, account: Account) -> None:
    cloud = account.cloud

    made = process("runpod", "create", "--model", "shapes", "--name", "mine", "--gpu-type", "A5000")
    pod = made.out.strip()
    assert made.code == 0, made.err
    assert cloud.pods_alive() == [pod]
    assert made.err.startswith(
        f"captiv: Renting {A5000} (24 GB), community cloud, $0.16/h; fetches an image of some 12 "
        "GB; about 2 min and $0.0073 until it is ready; no cap: its guard ends it after 15 min "
        "without a request, and it costs $3.84 a day while it is used.\n"
    )
    assert "guard ends it after 15 min without a request that brings its token" in made.err
    assert "ready" in made.err
    assert account.row(pod).name.startswith(f"captiv-runpod-{account.installation}-hand-mine-")
    assert "CAPTIV_GUARD_DEADLINE" not in cloud.pod(pod).recipe().env

    line = cli("runpod", "list").out.split("\t")
    assert (line[0], line[2:5]) == (pod, ["ready", A5000, "$0.16/h"])
    status = cli("runpod", "status", "mine")
    assert f"Pod {pod}: ready" in status.out
    assert "Worker ready: shapes shapes" in status.out
    assert "create container" in cli("runpod", "logs", pod, "--source", "system").out

    assert cli("runpod", "stop", pod).code == 0
    stopped = cli("runpod", "list", "--json")
    assert [p["phase"] for p in json.loads(stopped.out)] == ["stopped"]
    assert "disk only\t\t" in cli("runpod", "list").out
    started = cli("runpod", "start", pod)
    assert "is started; its guard ends it" in started.err

    refused = cli("runpod", "terminate", pod)
    assert (refused.code, cloud.pods_alive()) == (2, [pod])
    gone = quiet_about_the_key(cloud, process("runpod", "terminate", pod, "--yes"))
    assert gone.code == 0
    assert "is gone; it cost $0.00" in gone.err
    assert cloud.pods_alive() == []
    assert account.row(pod).end_reason == "terminated by hand"
    after = cli("runpod", "status", pod).out
    assert "RunPod does not know it" in after
    assert re.search(r"^Billed \$0\.\d+ by RunPod's own records$", after, re.MULTILINE), after


@pytest.mark.slow
def test_a_started_pod_has_new_limits(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = cli("runpod", "create", "--model", "shapes").out.strip()
    cli("runpod", "stop", pod)
    monkeypatch.setenv("CAPTIV_RUNPOD_GUARD_IDLE", "2")

    started = cli("runpod", "start", pod)

    assert started.code == 0, started.err
    until(lambda: account.cloud.pods_alive() == [], "the guard's end of the pod")


@pytest.mark.slow
def test_a_pod_that_is_only_looked_at_is_idle(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIV_RUNPOD_GUARD_IDLE", "4")
    pod = cli("runpod", "create", "--model", "shapes").out.strip()

    def gone() -> bool:
        cli("runpod", "status", pod)
        return account.cloud.pods_alive() == []

    until(gone, "the guard's end of the pod")


@pytest.mark.slow
def test_a_pod_that_does_not_come_up_is_ended_and_says_why(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIV_RUNPOD_STARTUP_TIMEOUT", "0.5")
    account.cloud.mischief.arm("image_missing")

    ended = cli("runpod", "create", "--model", "shapes", "--cloud", "secure")

    assert ended.code == 4
    assert "is given up, and ended" in ended.err
    assert account.cloud.pods_alive() == []


def test_an_answer_that_never_came_is_settled_by_the_name(cli: Cli, account: Account) -> None:
    account.cloud.mischief.arm("created_then_timed_out", status=504)

    ended = cli("runpod", "create", "--model", "shapes", "--no-wait", "--json")

    made = json.loads(ended.out)
    assert account.cloud.pods_alive() == [made["pod"]]
    assert account.row(made["pod"]).state == "live"
    assert cli("runpod", "terminate", made["name"], "--yes").code == 0


@pytest.mark.slow
def test_a_pod_that_shows_up_when_no_other_could_be_had_is_ended(account: Account) -> None:
    mischief = account.cloud.mischief
    before = account.creates()
    mischief.arm("created_then_timed_out", status=503)
    mischief.arm("vanished_from_list", times=None)
    creating = subprocess.Popen(
        command("runpod", "create", "--model", "shapes"), stdout=-1, stderr=-1, text=True
    )
    until(lambda: account.cloud.pods_alive() != [])
    mischief.arm("rate_limited", call="create_pod", times=None, retry_after_s=4)
    until(lambda: account.creates() - before >= 2, "another was asked for")
    mischief.disarm("vanished_from_list")
    mischief.arm("no_balance")
    mischief.disarm("rate_limited")

    _, err = creating.communicate(timeout=60)

    assert creating.returncode == 3, err
    assert "was there; ending it" in err
    assert account.cloud.pods_alive() == []


def test_without_anything_to_run_nothing_is_rented(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAPTIV_RUNPOD_IMAGE")
    monkeypatch.setenv("CAPTIV_RUNPOD_BOOTSTRAP", "image")

    ended = cli("runpod", "create", "--model", "shapes")

    assert ended.code == 3
    assert "runpod.bootstrap" in ended.err


def test_ctrl_c_leaves_a_pod_that_is_known_and_guarded(account: Account) -> None:
    account.cloud.mischief.arm("slow_start")
    creating = subprocess.Popen(
        command("runpod", "create", "--model", "shapes"), stdout=-1, stderr=-1, text=True
    )
    until(lambda: account.cloud.pods_alive() != [])
    (pod,) = account.cloud.pods_alive()
    creating.send_signal(signal.SIGINT)

    _, err = creating.communicate(timeout=60)

    assert creating.returncode == 130, err
    assert account.row(pod).state == "live"
    anyio.run(end, account.cloud, pod)


def test_what_is_sold_out_is_followed_by_the_next(cli: Cli, account: Account) -> None:
    account.cloud.mischief.arm("no_capacity", times=2)

    made = json.loads(cli("runpod", "create", "--model", "shapes", "--no-wait", "--json").out)

    assert cli("runpod", "terminate", made["pod"], "--yes").code == 0


def test_nothing_is_rented_without_money(cli: Cli, account: Account) -> None:
    account.cloud.mischief.arm("no_balance")

    ended = cli("runpod", "create", "--model", "shapes")

    assert ended.code == 3
    assert "Add credit" in ended.err


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (("--name", "No Word"), 2, "small letters and digits"),
        (("--model", "nix-ist-da"), 2, "nix-ist-da"),
        (("--gpu-type", "A50000"), 2, "Did you mean NVIDIA RTX A5000"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    cli: Cli, cloud: Cloud, given: tuple[str, str], code: int, words: str
) -> None:
    cloud.history.clear()

    ended = cli("runpod", "create", *given)

    assert ended.code == code
    assert words in ended.err
    assert not [call for call in cloud.history if call.method == "POST"]


def test_the_queue_behind_a_pod_is_shown(cli: Cli, account: Account) -> None:
    run = RunId(make_run(account.home, pending=3))
    name = pod_name("runpod", account.installation, run, "t")
    pod = account.make(name)
    with Store.open(account.home / "data" / "captiv.db") as store:
        values: dict[str, Any] = {"gpu": A5000, "cloud": "secure", "price_micro": 260_000}
        values |= {"version": "1", "deadline_ms": None, "now_ms": NOW, "run_id": run}
        values["provider"] = "runpod"
        row = store.write(pods.intend, name, **values)
        store.write(pods.arrived, name, pod, 260_000, NOW, "")
        assert store.write(pods.begin_use, row, run, NOW)
        store.write(runs.want, run, SessionId(1), now_ms() + AN_HOUR_MS)

    with Lease(Paths.find().lock_file) as held:
        assert held.acquire()
        (shown,) = json.loads(cli("runpod", "list", "--json").out)
    (killed,) = json.loads(cli("runpod", "list", "--json").out)
    anyio.run(end, account.cloud, pod)

    assert "the command of that run is gone" in killed["orphan"]
    assert (shown["run"], shown["users"], shown["orphan"]) == (run, [run], None)
    assert (shown["done"], shown["waiting"], shown["images_per_s"]) == (0, 3, 0.0)


def test_what_runpod_has_billed_stands_beside_what_a_pod_cost(cli: Cli, account: Account) -> None:
    pod = cli("runpod", "create", "--model", "shapes", "--no-wait").out.strip()

    listed = cli("runpod", "list").out
    (shown,) = json.loads(cli("runpod", "list", "--json").out)
    status = cli("runpod", "status", pod).out
    account.cloud.mischief.arm("forbidden", call="pod_billing", times=None)
    unknown = json.loads(cli("runpod", "status", pod, "--json").out)
    assert cli("runpod", "terminate", pod, "--yes").code == 0
    without = cli("runpod", "status", pod)

    assert re.search(r"\t\$0\.\d+ \(\$0\.\d+ billed\)\t", listed), listed
    assert 0 < shown["billed_by_provider_usd"] <= shown["spent_usd"] + 1e-4
    assert "so far by RunPod's own records, which come later" in status
    assert unknown["billed_by_provider_usd"] is None
    assert without.code == 0
    assert "nothing yet in RunPod's own records" in without.out


@pytest.mark.slow
def test_orphans_are_marked_and_swept(process: Cli, cli: Cli, account: Account) -> None:
    orphan, foreign = account.orphan(), account.make("somebody-elses")

    found = json.loads(cli("runpod", "list", "--json").out)
    swept = json.loads(process("runpod", "sweep", "--json").out)

    assert [(p["pod"], p["ours"], bool(p["orphan"])) for p in found] == [
        (orphan, True, True),
        (foreign, False, False),
    ]
    assert [(s["pod_id"], s["outcome"]) for s in swept] == [(orphan, "terminated")]
    assert account.cloud.pods_alive() == [foreign]
    assert cli("runpod", "sweep").out == "Nothing to sweep.\n"
    hand = account.make(pod_name("runpod", account.installation, None, "t"))
    assert f"left: {hand}: it was made by hand" in cli("runpod", "sweep").out
    for pod in (foreign, hand):
        anyio.run(end, account.cloud, pod)


def test_a_list_that_cannot_be_had_is_no_empty_one(cli: Cli, cloud: Cloud) -> None:
    cloud.mischief.arm("forbidden", call="list_pods", times=None)

    for verb in ("list", "sweep"):
        ended = cli("runpod", verb)
        assert ended.code == 3
        assert ended.out == ""


def test_watch_ends_with_the_last_pod(cli: Cli, cloud: Cloud) -> None:
    assert cli("runpod", "list", "--watch").out == "No pods.\n"
    assert cli("runpod", "list", "--watch", "--json").out == "[]\n"


def test_gpus_say_what_they_hold_and_cost(cli: Cli, cloud: Cloud) -> None:
    gpus = {gpu["id"]: gpu for gpu in json.loads(cli("runpod", "gpus", "--json").out)}

    assert gpus[A5000]["vram_gb"] == 24
    assert {o["cloud"]: o["price_usd_h"] for o in gpus[A5000]["offers"]} == {
        "secure": 0.26,
        "community": 0.16,
    }
    assert {"blip-large", "joycaption-beta-one"} <= set(gpus[A5000]["holds"])
    assert "joycaption-beta-one in 8bit" in gpus["NVIDIA RTX A4000"]["holds"]
    assert cli("runpod", "gpus").out.startswith(f"{A5000}\t24 GB\t$0.26/h\thigh\t$0.16/h\thigh\t")


def test_a_terminal_has_a_line_or_two_a_gpu(
    cli: Cli, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("captiv.cli.show.sys.stdout.isatty", lambda: True)

    shown = cli("runpod", "gpus").out.splitlines()
    asked = cli("runpod", "gpus", "--model", "joycaption").out.splitlines()
    unknown = cli("runpod", "gpus", "--model", "nix-ist-da")

    gpus = json.loads(cli("runpod", "gpus", "--json").out)
    assert max(len(shown), len(asked)) <= 1.2 * len(gpus) + 2, "only the longest names wrap"
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in shown) <= 80
    assert [line.split()[-1] for line in asked if "A5000" in line] == ["yes"]
    assert [line.split()[-2:] for line in asked if "A4000 " in line] == [["in", "8bit"]]
    assert unknown.code == 2


@pytest.mark.parametrize("verb", ["status", "logs", "stop", "start", "terminate"])
def test_a_pod_that_nobody_knows_is_said(cli: Cli, cloud: Cloud, verb: str) -> None:
    ended = cli("runpod", verb, "nobody")

    assert ended.code == 2
    assert "There is no pod nobody" in ended.err


@pytest.mark.parametrize("verb", ["list", "gpus", "sweep", "create"])
def test_without_a_key_it_says_how_to_set_one(cli: Cli, captiv_home: Path, verb: str) -> None:
    ready_database(captiv_home)

    ended = cli("runpod", verb)

    assert ended.code == 3
    assert "captiv config set runpod.api_key" in ended.err


def test_a_refused_key_is_one_line_and_shows_nothing_of_it(
    cli: Cli, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_THISISNOTTHEKEY123")

    ended = cli("runpod", "list")

    assert ended.code == 3
    assert "THISISNOTTHEKEY" not in ended.out + ended.err
    assert "RUNPOD_API_KEY" in ended.err


class TestDoctor:
    @pytest.fixture(autouse=True)
    def no_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from captiv.cli import probe

        monkeypatch.setattr(probe, "_CHILD", 'print(\'{"sqlite": "3.51.3", "devices": []}\')')

    def checks(self, cli: Cli) -> dict[str, dict[str, str]]:
        ended = cli("doctor", "--json")
        assert ended.code == 0, ended.out
        return {check["name"]: check for check in json.loads(ended.out)}

    def test_without_a_key_one_line_is_skipped(self, cli: Cli) -> None:
        found = self.checks(cli)

        assert "skipped" in found["RunPod"]["detail"]
        assert "balance" not in found

    def test_key_and_balance(self, cli: Cli, account: Account) -> None:
        assert account.installation
        found = self.checks(cli)

        assert found["RunPod"]["detail"] == "key accepted; 0 pods on the account"
        assert found["balance"]["detail"].startswith("$")
        assert found["orphans"]["detail"] == "none"

    def test_orphans(self, cli: Cli, account: Account) -> None:
        orphan = account.orphan()

        found = self.checks(cli)
        anyio.run(end, account.cloud, orphan)

        assert found["orphans"]["status"] == "warn"
        assert orphan in found["orphans"]["todo"]
        assert "captiv runpod sweep" in found["orphans"]["todo"]

    def test_a_refused_key_is_no_failure(
        self, cli: Cli, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNPOD_API_KEY", "rpa_THISISNOTTHEKEY123")

        found = self.checks(cli)

        assert found["RunPod"]["status"] == "warn"
        assert "not accepted" in found["RunPod"]["detail"]

    def test_an_api_that_hangs_is_given_up(
        self, cli: Cli, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import socket

        from captiv.cli import accountcheck

        monkeypatch.setattr(accountcheck, "LIMIT_S", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            monkeypatch.setenv("CAPTIV_RUNPOD_API_URL", f"http://127.0.0.1:{port}")

            found = self.checks(cli)

        assert "did not answer within 0.3 s" in found["RunPod"]["detail"]
        assert found["RunPod"]["todo"]
