"""What `captiv doctor` looks at: each check says what it found and, unless all is well, what to do.

A check that itself breaks is a failed check and stops no other. Nothing is changed but what `fix`
asks for; what is tried on the disk is removed again.
"""

import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from captiv import __version__
from captiv.cli import probe
from captiv.cli.show import plural
from captiv.clock import now_ms, now_s
from captiv.core.findings import Finding, Status
from captiv.core.jobs import Run
from captiv.core.spec import Captioning, Output, RunSpec, Selection
from captiv.errors import CaptivError
from captiv.gui.phases import size
from captiv.settings import Paths, Settings
from captiv.store import Connection, Lease, Store, captions, lease, runs

_FREE_WARN_BYTES = 5_000_000_000
_FREE_FAIL_BYTES = 100_000_000
_WAL_FIXED = (3, 51, 3)
"""Before it, two connections that checkpoint at one moment may damage a WAL database."""

_MOVE = "Set CAPTIV_HOME to a folder on a local disk that can be written."


def run(paths: Paths, *, fix: bool = False) -> Iterator[Finding]:
    """Yield every check as it is done."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("captiv", _versions),
        ("torch", _torch),
        ("configuration", lambda: _configuration(paths)),
        ("folders", lambda: _folders(paths)),
        ("journal", lambda: _journal(paths)),
        ("lease", lambda: _lease(paths)),
        ("job table", lambda: _counters(paths, fix=fix)),
        ("models", _models),
        ("worker", lambda: _worker(paths)),
        ("clock", lambda: _clock(paths)),
        ("RunPod", lambda: _runpod(paths)),
    ]
    for name, check in checks:
        try:
            yield from check()
        except CaptivError as error:
            yield Finding(name, "fail", error.message, error.hint or "")
        except Exception as error:  # a broken check is a finding, too
            yield Finding(name, "fail", f"could not be checked: {type(error).__name__}: {error}")


def _versions() -> Iterator[Finding]:
    yield Finding("captiv", "ok", f"{__version__} in {Path(sys.prefix)}")
    yield Finding("Python", "ok", f"{platform.python_version()}, {platform.platform()}")


def _torch() -> Iterator[Finding]:
    found = probe.probe()
    if found.sqlite_version:
        yield _sqlite(found.sqlite_version)
    if found.torch is None:
        todo = "pip install 'captiv[local]' to caption here, or give a worker with --worker URL."
        yield Finding("torch", "warn", found.trouble or "not installed", todo)
        return
    yield Finding("torch", "ok", f"{found.torch}, transformers {found.transformers or 'missing'}")
    if found.trouble:
        yield Finding(
            "device", "warn", found.trouble, "Look whether the driver answers: nvidia-smi."
        )
        return
    for device in found.devices:
        yield Finding("device", "ok", device)
    if not found.devices:
        yield Finding("device", "warn", "cpu only", "It works; a GPU is many times faster.")


def _sqlite(version: str) -> Finding:
    if tuple(int(part) for part in version.split(".")) >= _WAL_FIXED:
        return Finding("SQLite", "ok", version)
    todo = (
        "3.51.3 ends a race of two checkpoints. In captiv one process checkpoints; leave the job "
        "table alone with other programs while captiv works."
    )
    return Finding("SQLite", "ok", version, todo)


def _configuration(paths: Paths) -> Iterator[Finding]:
    from captiv.settings import read
    from captiv.settings.sources import parse_file, problems

    file = paths.config_file
    parsed = parse_file(file)
    if parsed is None:
        yield Finding("configuration", "ok", f"none at {file}: everything is default")
    else:
        wrong = list(problems(*parsed))
        for problem in wrong:
            yield Finding("configuration", "fail", problem.sentence(file), problem.hint)
        if wrong:
            return
        open_to_others = sys.platform != "win32" and file.stat().st_mode & 0o077
        if open_to_others:
            yield Finding(
                "configuration", "warn", f"{file} can be read by others", f"chmod 600 {file}"
            )
        else:
            yield Finding("configuration", "ok", str(file))
    read(paths)  # the environment, too


def _folders(paths: Paths) -> Iterator[Finding]:
    from captiv.settings.paths import private_folder

    for name, folder in (("data", paths.data_dir), ("log", paths.log_file.parent)):
        private_folder(folder)
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"captiv")
        except OSError as error:
            yield Finding(name, "fail", f"{folder} cannot be written: {error.strerror}", _MOVE)
            continue
        free = shutil.disk_usage(folder).free
        status: Status = (
            "fail" if free < _FREE_FAIL_BYTES else "warn" if free < _FREE_WARN_BYTES else "ok"
        )
        todo = "" if status == "ok" else "Free some space: a model takes gigabytes."
        yield Finding(name, status, f"{folder}, {size(free)} free", todo)


def _journal(paths: Paths) -> Iterator[Finding]:
    """Make a job table on this disk, commit to it, and read it from a second connection."""
    paths.make_data_dir()
    place = Output().place_of("/probe.png")
    with (
        tempfile.TemporaryDirectory(dir=paths.data_dir, prefix=".doctor-") as folder,
        Store.open(Path(folder) / "captiv.db") as store,
    ):
        store.write(captions.record, place, "probe", "0" * 64, "import", 0)
        kept = store.read(captions.latest, place)
    if kept is None or kept.text != "probe":
        yield Finding("journal", "fail", "what was committed cannot be read again", _MOVE)
    else:
        yield Finding("journal", "ok", "wal; a commit on this disk is read by a second connection")


def _lease(paths: Paths) -> Iterator[Finding]:
    paths.make_data_dir()
    with Lease(paths.lock_file) as held:
        free = held.acquire()
    if free:
        yield Finding("lease", "ok", "free: no captiv is at work")
        return
    holder = None
    if paths.database.exists():
        with Store.open(paths.database, read_only=True) as store:
            holder = store.read(lease.dispatcher)
    who = f"process {holder.pid} on {holder.host}" if holder else "a process that said no name"
    yield Finding("lease", "ok", f"held by {who}", "Follow it: captiv queue watch")


def _counters(paths: Paths, *, fix: bool) -> Iterator[Finding]:
    if not paths.database.exists():
        yield Finding("job table", "ok", f"none yet at {paths.database}")
        return
    with Store.open(paths.database, read_only=not fix) as store:
        wrong = store.read(runs.check_counts)
        if fix:
            store.write(_recount, [run for run, _ in wrong])
    described = f"{paths.database}, {size(paths.database.stat().st_size)}"
    if not wrong:
        yield Finding("job table", "ok", f"{described}; its counters are right")
    for run, _ in wrong:
        if fix:
            yield Finding(
                "job table", "warn", f"the counters of run {run.id} were wrong", "Righted."
            )
        else:
            todo = "captiv doctor --fix counts again. Please report it: this should not happen."
            yield Finding("job table", "fail", f"the counters of run {run.id} are wrong", todo)


def _recount(conn: Connection, wrong: list[Run]) -> None:
    for run in wrong:
        runs.recount(conn, run.id)


def _models() -> Iterator[Finding]:
    cached, folder = probe.cached_models()
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
    have = f"{plural(len(cached), 'model')} of the catalog: {', '.join(cached)}" if cached else ""
    detail = f"{folder}, {size(free)} free; {have or 'no model of the catalog is there yet'}"
    todo = "" if cached else "The first run downloads its model and says how large it is."
    yield Finding("models", "ok", detail, todo)


def _worker(paths: Paths) -> Iterator[Finding]:
    """Look at the worker that the settings choose, as a run does before it begins."""
    import anyio

    from captiv.dispatch.events import Silence
    from captiv.settings import read
    from captiv.sources import Sources
    from captiv.workers import findings

    settings = read(paths).settings
    sources = Sources(paths, settings, Silence(), specs={}, now_ms=now_ms)
    try:
        found = anyio.run(findings, sources.checks(_chosen(settings)))
    except CaptivError as error:
        found = [Finding.failed("worker", error)]
    for one in found:  # not fatal: a command may name another worker
        yield replace(one, status="warn") if one.status == "fail" else one


def _chosen(settings: Settings) -> RunSpec:
    """Return a run on the worker of the settings, with their model."""
    from captiv.request.loaded import is_left_open
    from captiv.request.options import Options
    from captiv.request.placement import place
    from captiv.request.run import model_choice
    from captiv.request.served import served_choice

    placement = place(Options(), settings)
    if placement.url is not None and placement.protocol == "openai":
        choice = served_choice(None, None, placement.url, settings)
    elif placement.url is not None and is_left_open(None, None, settings):
        open_choice = Captioning(model="", variant="", source="")  # whatever it serves
        return RunSpec(selection=Selection(roots=()), captioning=open_choice, placement=placement)
    else:
        choice = model_choice(None, None, settings)
    asked = Captioning(
        model=choice.family.name,
        variant=choice.variant.name,
        source=choice.variant.source,
        dtype=choice.family.precision(settings.system.default_torch_dtype),
    )
    return RunSpec(selection=Selection(roots=()), captioning=asked, placement=placement)


def _runpod(paths: Paths) -> Iterator[Finding]:
    from captiv.cli.accountcheck import account_checks  # the HTTP client is imported for it alone

    yield from account_checks(paths)


def _clock(paths: Paths) -> Iterator[Finding]:
    """Compare the clock with the disk's and with the newest run's."""
    paths.make_data_dir()
    with tempfile.NamedTemporaryFile(dir=paths.data_dir) as file:
        ahead_s = Path(file.name).stat().st_mtime - now_s()
    newest_ms = 0
    if paths.database.exists():
        with Store.open(paths.database, read_only=True) as store:
            newest_ms = max((r.created_ms for r in store.read(runs.page, None, 1)), default=0)
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    todo = "Set the clock: deadlines and https certificates go by it."
    if newest_ms > (now_s() + 60) * 1000:
        yield Finding("clock", "warn", f"{now}, before the newest run began", todo)
    elif abs(ahead_s) > 60:
        yield Finding("clock", "warn", f"{now}, {ahead_s:+.0f} s off the disk's clock", todo)
    else:
        yield Finding("clock", "ok", now)
