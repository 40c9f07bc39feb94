"""Whether a rented GPU is kept busy: captions over the simulated cloud, across a slow line.

The pod runs captiv's real worker with the torch-free engine, which takes a set time for a batch
and no CPU, as a GPU would; the line to it has a set round trip and width. Read from the pod's log,
where the worker writes a line for each caption once its batch is done:

- busy: the share of the time from the first batch's beginning to the last one's end in which a
  batch was computed; a batch takes `engine_s` and ends when its captions are written down;
- seconds billed before the first batch began, and after the last one ended.

Of several pods (`--pods`), which share one line, the least busy one counts, the longest time billed
for nothing, and the images of all.

With `--photographs` the pictures are made-up photographs of one megapixel instead of drawn scenes;
`--model` decides to what size and quality captiv prepares them, and so what the line has to carry.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from photographs import write_photographs

from captiv.testing.cloud import Cloud, running
from captiv.testing.cloud.podlog import Line
from captiv.testing.cloud.pods import Pod
from captiv.testing.scenes import write_scenes

SCRIPTED = "captiv.testing.engine:ScriptedEngine"
CAPTION = re.compile(r" caption key=\S+ batch=(\d+) engine_s=([\d.]+)")


class Batch(NamedTuple):
    """A batch that was computed; times in seconds of the cloud's clock."""

    began: float
    ended: float
    size: int


class Turn(NamedTuple):
    """What one run showed."""

    busy: float
    images_per_s: float
    size: float
    """Mean size of a batch."""
    before_s: float
    after_s: float


def main() -> None:
    options = _options()
    turns = []
    with tempfile.TemporaryDirectory(prefix="captiv-bench-") as name:
        pictures = Path(name) / "pictures"
        if options.photographs:
            write_photographs(pictures, options.images, (1024, 1024))
        else:
            write_scenes(pictures, 3, options.images, formats=("jpg",))
        for number in range(options.turns):
            turn = _turn(Path(name) / f"home{number}", pictures, options)
            turns.append(turn)
            if options.turns > 1:
                print(f"turn {number + 1}: {_told(turn)}")
    median = Turn(*(statistics.median(values) for values in zip(*turns, strict=True)))
    engine = f"{1000 * options.device_s:.0f} ms a batch of {options.batch}"
    full = options.pods * options.batch / options.device_s
    line = f"{1000 * options.rtt_s:.0f} ms round trip, {options.up_mbit:g} Mbit/s up"
    pods = f"{options.pods} pod{'s' if options.pods > 1 else ''}"
    said = f"{options.images} pictures, {pods}, {engine} ({full:.1f} images/s), {line}"
    print(f"{said}: {_told(median)}")


def _turn(home: Path, pictures: Path, options: argparse.Namespace) -> Turn:
    """Caption everything once, on a cloud and an installation of its own."""
    for sidecar in pictures.glob("*.txt"):
        sidecar.unlink()
    engine = json.dumps({"batch_s": options.device_s})
    with running(
        worker_args=("--engine", SCRIPTED, "--engine-options", engine),
        rtt_s=options.rtt_s,
        up_mbit=options.up_mbit,
    ) as cloud:
        env = os.environ | dict(cloud.environment)
        env |= {"CAPTIV_HOME": str(home), "CAPTIV_RUNPOD_IMAGE": "captiv/worker:bench"}
        command = [sys.executable, "-m", "captiv", "caption", "generate", "--runpod", "--quiet"]
        command += ["--model", options.model, "--fallback", "fail", "--pods", str(options.pods)]
        command += ["--batch-size", str(options.batch), str(pictures)]
        subprocess.run(command, env=env, check=True)
        return _read(cloud)


def _read(cloud: Cloud) -> Turn:
    """Return what the logs of the pods tell, beside their bills."""
    found = [(pod, _batches(pod.log.lines("container"))) for pod in cloud.pods()]
    turns = [_of_pod(pod, batches, cloud.seconds(pod.id)) for pod, batches in found]
    batches = [batch for _, each in found for batch in each]
    took_s = max(batch.ended for batch in batches) - min(batch.began for batch in batches)
    return Turn(
        busy=min(turn.busy for turn in turns),
        images_per_s=sum(batch.size for batch in batches) / took_s,
        size=statistics.mean(batch.size for batch in batches),
        before_s=max(turn.before_s for turn in turns),
        after_s=max(turn.after_s for turn in turns),
    )


def _of_pod(pod: Pod, batches: list[Batch], billed_s: int) -> Turn:
    first, last = batches[0].began, batches[-1].ended
    images = sum(batch.size for batch in batches)
    return Turn(
        busy=sum(batch.ended - batch.began for batch in batches) / (last - first),
        images_per_s=images / (last - first),
        size=images / len(batches),
        before_s=first - pod.created_at,
        after_s=pod.created_at + billed_s - last,
    )


def _batches(lines: Iterable[Line]) -> list[Batch]:
    """Put captions together to batches: as many lines in a row as the line says were in one."""
    found: list[Batch] = []
    left = 0
    for line in lines:
        match = CAPTION.search(line.text)
        if match is None:
            continue
        if not left:
            left = int(match[1])
            found.append(Batch(line.at - float(match[2]), line.at, left))
        left -= 1
    return found


def _told(turn: Turn) -> str:
    return (
        f"device busy {turn.busy:.2f}, {turn.images_per_s:.1f} images/s in batches of "
        f"{turn.size:.1f}; billed {turn.before_s:.1f} s before the first and {turn.after_s:.1f} s "
        "after the last"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--photographs", action="store_true", help="instead of drawn scenes")
    parser.add_argument("--model", default="shapes", help="whose limits the pictures get")
    parser.add_argument("--pods", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device-s", type=float, default=0.4, help="seconds a batch takes")
    parser.add_argument("--rtt-s", type=float, default=0.15, help="round trip to the pod")
    parser.add_argument("--up-mbit", type=float, default=20.0, help="width of the line to it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
