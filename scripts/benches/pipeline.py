"""What everything around the engine costs: from scan to sidecar, as a share of the bare engine.

Both caption the same pictures in the same run, by turns, so that a busy machine slows both:

- bare: the engine alone, on pictures decoded beforehand, in full batches;
- captiv: `captiv caption generate`, from the first claim to the last job done, as the job table
  has it; the start of the processes and the loading of the model are left out.

With `--device-s` the engine is the torch-free one, which takes so many seconds a batch and no CPU:
what a GPU would see. Then the processor's time is told by stage, a thousand images: captiv's event
loop (its main thread), its other threads (preparing, sidecars, commits), and the worker.

With `--photographs` the pictures are no drawn scenes but made-up photographs: noise of every
frequency, 512 to 2048 px wide, some 350 KB a JPEG.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import captiv_worker
from captiv_worker.engines import ContinuousEngine, EngineItem, EngineSpec, build_engine
from captiv_worker.loader import spec_of
from photographs import write_photographs

from captiv.catalog import ImagePolicy, choose
from captiv.images.prepare import decode, prepare
from captiv.store import Connection, Store
from captiv.testing.scenes import write_scenes

WEIGHTS = Path(str(captiv_worker.__file__)).parent / "weights" / "shapes"
SCRIPTED = "captiv.testing.engine:ScriptedEngine"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="captiv-bench-") as name:
        folder = Path(name)
        if options.photographs:
            write_photographs(folder / "pictures", options.images)
        else:
            write_scenes(folder / "pictures", 3, options.images, formats=(options.format,))
        shares = []
        for turn in range(options.turns):
            bare = _bare(folder / "pictures", options)
            whole, cpu_s = _captiv(folder, options)
            shares.append(whole / bare)
            print(
                f"turn {turn + 1}: bare engine {bare:.1f} images/s, captiv {whole:.1f} images/s, "
                f"share {whole / bare:.2f}; CPU seconds a thousand: "
                + ", ".join(f"{name} {1000 * s / options.images:.1f}" for name, s in cpu_s.items())
            )
    print(
        f"{options.images} pictures, batches of {options.batch}: median share "
        f"{statistics.median(shares):.2f} (from {min(shares):.2f} to {max(shares):.2f})"
    )


def _bare(pictures: Path, options: argparse.Namespace) -> float:
    """Return images/s of the engine alone."""
    choice = choose("shapes")
    assert choice is not None
    policy: ImagePolicy = choice.family.image
    paths = sorted(pictures.glob(f"*.{options.format}"))
    images = [decode(prepare(path, policy).data) for path in paths]
    if options.device_s is None:
        spec = replace(spec_of(choice, WEIGHTS), device="cpu")
    else:
        spec = EngineSpec(SCRIPTED, "shapes", "shapes", options={"batch_s": options.device_s})
    engine = build_engine(spec)
    assert not isinstance(engine, ContinuousEngine)
    engine.load(lambda phase: None)
    items = [EngineItem(image, None, choice.family.generation) for image in images]
    engine.caption(items[: options.batch])
    began = time.perf_counter()
    for first in range(0, len(items), options.batch):
        engine.caption(items[first : first + options.batch])
    return len(items) / (time.perf_counter() - began)


def _captiv(folder: Path, options: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """Return images/s of the whole way, and CPU seconds by stage."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    for sidecar in (folder / "pictures").glob("*.txt"):
        sidecar.unlink()
    env = os.environ | {"CAPTIV_HOME": str(home)}
    if options.device_s is not None:
        env |= {
            "CAPTIV_ENGINE": SCRIPTED,
            "CAPTIV_ENGINE_OPTIONS": f'{{"batch_s": {options.device_s}}}',
        }
    command = [sys.executable, "-m", "captiv", "caption", "generate", "--model", "shapes"]
    command += ["--quiet", "--batch-size", str(options.batch), str(folder / "pictures")]
    cpu_s = _cpu_of(command, env)
    with Store.open(home / "data" / "captiv.db", read_only=True) as store:
        first_ms, last_ms, count = store.read(_span)
    return 1000 * count / (last_ms - first_ms), cpu_s


def _cpu_of(command: list[str], env: dict[str, str]) -> dict[str, float]:
    """Run the command; return the CPU seconds of its stages, as last seen before each ended."""
    seen: dict[tuple[int, int], float] = {}
    process = subprocess.Popen(command, env=env)
    while process.poll() is None:
        for pid in (process.pid, *_children(process.pid)):
            for task in Path(f"/proc/{pid}/task").glob("*"):
                with suppress(OSError, ValueError, IndexError):  # it ends meanwhile
                    fields = (task / "stat").read_text().rpartition(")")[2].split()
                    ticks = int(fields[11]) + int(fields[12])
                    seen[pid, int(task.name)] = ticks / os.sysconf("SC_CLK_TCK")
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    stages = dict.fromkeys(("event loop", "threads", "worker"), 0.0)
    for (pid, tid), cpu_s in seen.items():
        here = "event loop" if tid == process.pid else "threads"
        stages[here if pid == process.pid else "worker"] += cpu_s
    return {"all": sum(stages.values()), **stages}


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _span(conn: Connection) -> tuple[int, int, int]:
    row = conn.execute(
        "SELECT min(claimed_ms), max(finished_ms), count(*) FROM jobs WHERE state='done'"
    )
    first_ms, last_ms, count = row.fetchone()
    return int(first_ms), int(last_ms), int(count)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--format", choices=("jpg", "png", "webp"), default="jpg")
    parser.add_argument("--photographs", action="store_true", help="instead of drawn scenes")
    parser.add_argument("--device-s", type=float, help="seconds a batch takes on a made-up device")
    return parser.parse_args()


if __name__ == "__main__":
    main()
