"""Captions a folder on a pod of the simulated cloud, and shows what the cloud made of it."""

import os
import subprocess
import sys

from captiv.core.cost import dollars
from captiv.testing.cloud import running


def main() -> int:
    """Return the exit code of captiv."""
    captiv = [sys.executable, "-m", "captiv"]
    with running() as cloud:
        env = os.environ | dict(cloud.environment) | {"CAPTIV_RUNPOD_IMAGE": "captiv/worker:demo"}
        generate = [*captiv, "caption", "generate", "--runpod", "--model", "shapes", sys.argv[1]]
        ended = subprocess.run([*generate, "--verbose"], env=env, check=False)
        print(f"\npods made: {len(cloud.pods())}, still alive: {len(cloud.pods_alive())}")
        print(f"the cloud's own bill: {dollars(cloud.bill())}")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
