"""The launcher that ends an engine's processes with whoever started it."""

import os
import subprocess
import sys

import pytest

ASK = "import sys; from captiv_worker.engines import launch; sys.exit(3 * launch._starter_ended())"


@pytest.mark.parametrize("ended", [True, False])
def test_a_starter_that_ends_with_its_command_is_noticed(ended: bool) -> None:
    read, write = os.pipe()
    if ended:
        os.close(write)

    done = subprocess.run([sys.executable, "-c", ASK], stdin=read, check=False, timeout=60)

    os.close(read)
    if not ended:
        os.close(write)
    assert done.returncode == (3 if ended else 0)
