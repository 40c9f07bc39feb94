"""What every test may rely on."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.support import Home

# Under nohup the commands that the tests start would rightly ignore a hang-up.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)
