"""What every test may rely on."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from blockbuster import blockbuster_ctx
from filelock import FileLock

from tests.roads import Road, carried, made_once
from tests.support import Home
from tests.wheels import wheel_in, worker_wheels_in
from tests.worker.checkpoints import Checkpoint, PathOf

# Under nohup the commands that the tests start would rightly ignore a hang-up; started in the
# background by a shell without job control, an interrupt.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that stalls says nothing about what is tested: no example is late, no drawing too slow.
hypothesis.settings.register_profile(
    "captiv", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("captiv")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def blocking_is_an_error(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail whatever blocks the event loop, in our code and in the tests'."""
    if request.node.get_closest_marker("allow_blocking"):
        yield
        return
    with blockbuster_ctx() as detector:
        for function in detector.functions.values():
            function.can_block_in("/pytest_timeout.py", {"timeout_sigalrm"})
        yield


@pytest.fixture(autouse=True)
def a_log_ends_with_its_test() -> Iterator[None]:
    """Keep the log of a command that ran in this process out of other tests."""
    logger = logging.getLogger("captiv")
    before = list(logger.handlers)
    yield
    for handler in [h for h in logger.handlers if h not in before]:
        logger.removeHandler(handler)
        handler.close()


@pytest.hookimpl(trylast=True)  # after the order was drawn
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes long first, so that no process waits for another's long test at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Build the wheel of this tree, once for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    return wheel_in((base if worker_id == "master" else base.parent) / "wheel")


@pytest.fixture(scope="session")
def worker_wheels(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Fetch what a pod installs beside the worker's code, once for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    return worker_wheels_in((base if worker_id == "master" else base.parent) / "worker-wheels")


@pytest.fixture(scope="session")
def carried_road(worker_wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Road:
    """Return the road on which captiv brings its worker, with what its pods share made before."""
    shared = worker_wheels.with_name("carried")
    shared.mkdir(exist_ok=True)
    road = carried(worker_wheels, shared)
    with FileLock(shared / "making.lock"):
        if not (shared / "pods").exists():
            made_once(road, Home(tmp_path_factory.mktemp("carried")))
    return road


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> PathOf:
    """Build each tiny checkpoint once, when it is first asked for."""
    home = tmp_path_factory.mktemp("checkpoints")

    def path(checkpoint: Checkpoint) -> Path:
        import torch

        directory = home / checkpoint.variant
        if not directory.exists():
            torch.set_num_threads(1)
            checkpoint.build(directory)
        return directory

    return path
