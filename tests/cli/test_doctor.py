import json
from pathlib import Path

import pytest

from captiv.cli import checks, probe
from captiv.core.jobs import RunId
from captiv.settings import Paths
from captiv.store import Connection, Lease, Store, runs

from .conftest import Cli
from .test_queue import make_run


@pytest.fixture(autouse=True)
def torch_asked_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing torch takes seconds; one test asks the child process itself."""
    monkeypatch.setattr(probe, "_CHILD", 'print(\'{"sqlite": "3.51.3", "devices": []}\')')


def found(cli: Cli, *flags: str) -> dict[str, dict[str, str]]:
    return {c["name"]: c for c in json.loads(cli("doctor", "--json", *flags).out)}


def test_a_healthy_installation_ends_with_0_and_leaves_nothing_behind(
    cli: Cli, captiv_home: Path
) -> None:
    ended = cli("doctor")

    assert ended.code == 0, ended.out
    for name in ("Python", "SQLite", "torch", "data", "journal", "lease", "models", "clock"):
        assert f" {name} " in ended.out
    assert sorted(p.name for p in (captiv_home / "data").iterdir()) == ["captiv.lock"]


def test_every_finding_that_is_not_ok_says_what_to_do(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_version", lambda _: None)

    checked = found(cli)

    assert checked["torch"]["status"] == "warn"
    assert "captiv[local]" in checked["torch"]["todo"]
    assert all(c["todo"] for c in checked.values() if c["status"] != "ok")


def test_a_bad_configuration_fails_with_its_line(cli: Cli, captiv_home: Path) -> None:
    captiv_home.mkdir()
    (captiv_home / "config.toml").write_text("[gui]\nprt = 1\nport = 'x'\n")

    ended = cli("doctor")

    assert ended.code == 1
    assert "line 2: there is no setting gui.prt" in ended.out
    assert "line 3: gui.port must be" in ended.out


def test_a_bad_variable_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTIV_GUI_PORT", "x")

    ended = cli("doctor")

    assert ended.code == 1
    assert "CAPTIV_GUI_PORT" in ended.out


def test_a_configuration_that_others_can_read_is_said(cli: Cli, captiv_home: Path) -> None:
    captiv_home.mkdir()
    (captiv_home / "config.toml").write_text("")
    (captiv_home / "config.toml").chmod(0o644)

    assert found(cli)["configuration"]["status"] == "warn"


def test_a_data_folder_that_cannot_be_had_fails(cli: Cli, captiv_home: Path) -> None:
    captiv_home.mkdir()
    (captiv_home / "data").write_text("in the way")

    ended = cli("doctor")

    assert ended.code == 1
    assert "fail  journal" in ended.out


def test_too_little_space_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_FREE_FAIL_BYTES", 1 << 60)

    assert found(cli)["data"]["status"] == "fail"


def test_the_holder_of_the_lease_is_no_fault(cli: Cli) -> None:
    paths = Paths.find()
    paths.make_data_dir()
    with Lease(paths.lock_file) as lease:
        lease.acquire()
        checked = found(cli)

    assert checked["lease"]["status"] == "ok"
    assert "held by" in checked["lease"]["detail"]
    assert "free" in found(cli)["lease"]["detail"]


def spoil(conn: Connection) -> None:
    conn.execute("UPDATE runs SET done=done+1")


def test_wrong_counters_fail_until_they_are_righted(cli: Cli, captiv_home: Path) -> None:
    run = make_run(captiv_home, pending=2)
    with Store.open(captiv_home / "data" / "captiv.db") as store:
        store.write(spoil)

    assert found(cli)["job table"]["status"] == "fail"
    assert found(cli, "--fix")["job table"]["status"] == "warn"
    assert found(cli)["job table"]["status"] == "ok"
    with Store.open(captiv_home / "data" / "captiv.db") as store:
        assert store.read(runs.get, RunId(run)).counts.done == 0


def test_cached_models_are_named(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    name = "models--Salesforce--blip-image-captioning-base"
    snapshot = tmp_path / "hf" / "hub" / name / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")

    assert "1 model of the catalog: blip-base" in found(cli)["models"]["detail"]


@pytest.mark.slow
def test_the_worker_of_the_settings_is_looked_at_as_a_run_does(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIV_MODEL_DEFAULT_MODEL", "shapes")
    assert found(cli)["this machine"]["status"] == "ok"

    monkeypatch.setenv("CAPTIV_SYSTEM_DEVICE", "cuda:9")
    here = found(cli)["this machine"]
    monkeypatch.setenv("CAPTIV_WORKER_URL", "http://127.0.0.1:9")
    tokenless = found(cli)["worker"]
    monkeypatch.setenv("CAPTIV_WORKER_TOKEN", "x")
    silent = found(cli)["worker"]

    assert here["status"] == tokenless["status"] == silent["status"] == "warn"
    assert "has no GPU" in here["detail"]
    assert "CAPTIV_WORKER_TOKEN" in tokenless["todo"]
    assert "does not answer" in silent["detail"]


@pytest.mark.parametrize(
    ("child", "within_s", "trouble"),
    [
        ("import nix_is_not_there", 50, "No module named 'nix_is_not_there'"),
        ('import time; print(\'{"sqlite": "3.0.0"}\', flush=True); time.sleep(99)', 1, "within"),
        ("import os; os.abort()", 50, "cannot be imported"),
    ],
)
def test_a_torch_that_breaks_or_hangs_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, child: str, within_s: float, trouble: str
) -> None:
    monkeypatch.setattr(probe, "_CHILD", child)
    monkeypatch.setattr(probe, "_TIMEOUT_S", within_s)
    monkeypatch.setattr(probe, "_version", lambda _: "2.6")

    assert trouble in probe.probe().trouble


def test_a_check_that_breaks_is_a_finding_and_stops_no_other(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Paths) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(checks, "_lease", broken)

    checked = found(cli)

    assert checked["lease"]["status"] == "fail"
    assert "RuntimeError: odd" in checked["lease"]["detail"]
    assert checked["clock"]["status"] == "ok"
