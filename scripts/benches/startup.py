"""How long the commands take that need no model, beside a Python that does nothing."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = (
    ("captiv --version", ("--version",)),
    ("captiv --help", ("--help",)),
    ("captiv caption generate --help", ("caption", "generate", "--help")),
    ("captiv model list", ("model", "list")),
    ("captiv config list", ("config", "list")),
    ("captiv queue status", ("queue", "status")),
    ("captiv caption list", ("caption", "list")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory(prefix="captiv-bench-") as folder:
        env = os.environ | {"CAPTIV_HOME": folder}
        nothing = _took([sys.executable, "-c", "pass"], env, turns, folder)
        print(f"{'python -c pass':34} {nothing[0]:.3f} s best, {nothing[1]:.3f} s median")
        for name, arguments in COMMANDS:
            best, median = _took([sys.executable, "-m", "captiv", *arguments], env, turns, folder)
            print(f"{name:34} {best:.3f} s best, {median:.3f} s median, {best / nothing[0]:.0f}x")


def _took(command: list[str], env: dict[str, str], turns: int, folder: str) -> tuple[float, float]:
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        subprocess.run(command, env=env, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return min(seconds), statistics.median(seconds)


if __name__ == "__main__":
    main()
