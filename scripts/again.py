"""Runs the tests that failed in CI once more, each alone: again.py [FOLDER, default here].

Only browser tests, storms and end-to-end tests have this second chance, for a shared machine may
stall under them. Any other failure, and a second one, fails. The last line says how many there
were: such a test is mended in the next change, not loosened.
"""

import json
import subprocess
import sys
from pathlib import Path

SECOND_CHANCE = ("tests/gui/browser/", "tests/chaos/", "tests/end_to_end/")
MOST = 5
"""More failures than that are no stall."""


def main(folder: Path) -> int:
    cache = folder / ".pytest_cache" / "v" / "cache" / "lastfailed"
    failed = sorted(json.loads(cache.read_text("utf-8"))) if cache.exists() else []
    others = [name for name in failed if not name.startswith(SECOND_CHANCE)]
    if not failed or others or len(failed) > MOST:
        print(f"No second chance: {len(failed)} failed, {len(others)} of them of another kind.")
        return 1
    codes = [_run(folder, name) for name in failed]
    print(f"Reruns: {len(failed)} ({', '.join(failed)})")
    return int(any(codes))


def _run(folder: Path, name: str) -> int:
    print(f"Once more, alone: {name}", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", "-n", "0", name], cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
