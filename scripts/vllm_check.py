"""Checks captiv's vLLM engine with the vLLM that is on PATH, and prints figures.

Prompts: for each scene, the tokens that captiv foretells are those of transformers' own processor.
vLLM's count of each is compared by the engine, which takes an answer to any other prompt for none.
Then the scenes are captioned twice: undisturbed, for the figures, and once more in another folder,
where `vllm serve` is killed in mid-run: nothing may be lost, and nothing received twice.
"""

import argparse
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from captiv_worker.engines.dialects import DIALECTS
from captiv_worker.engines.foretold import Prompts
from captiv_worker.engines.sights import sight_of
from captiv_worker.models import Resolved, resolve
from PIL import Image

from captiv.catalog import build_prompt
from captiv.testing.scenes import write_scenes

_CAPTIONED = re.compile(r"^ts=(\S+) .* caption key=.* batch=\d+ engine_s=([\d.]+)", re.MULTILINE)
_READY = re.compile(r" ready engine=vllm .* max_batch=(\d+) ")
_LIMIT_S = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of captiv's over a folder with a home of its own."""

    folder: Path

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    def start(self, model: str, batch_size: int | None) -> "subprocess.Popen[bytes]":
        """Start it; captiv starts captiv-worker, and that starts vLLM."""
        words = ["caption", "generate", str(self.pictures), "--model", model, "--engine", "vllm"]
        words += [] if batch_size is None else ["--batch-size", str(batch_size)]
        env = os.environ | {"CAPTIV_HOME": str(self.folder / "home")}
        return subprocess.Popen([sys.executable, "-m", "captiv", *words], env=env)

    def captions(self) -> int:
        """Return how many sidecars are whole."""
        return sum(1 for file in self.pictures.glob("*.txt") if file.read_text().strip())

    def received(self) -> list[int]:
        """Return how many captions each image got."""
        with closing(sqlite3.connect(self.folder / "home" / "data" / "captiv.db")) as table:
            rows = table.execute("SELECT count(*) FROM captions GROUP BY job_id").fetchall()
        return [count for (count,) in rows]

    def log(self) -> str:
        """Return what its workers logged."""
        return (self.folder / "home" / "log" / "worker.log").read_text(errors="replace")


def main() -> int:
    """Return 0 if everything held, 1 if something did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model that captiv drives by vLLM, or its folder")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--batch-size", type=int, help="how many images vLLM takes at once")
    given = parser.parse_args()
    found = resolve(given.model, None, None, lambda _phase, _done, _total: None)
    with tempfile.TemporaryDirectory(prefix="captiv-vllm-check-") as folder:
        calm, killed = Run(Path(folder) / "calm"), Run(Path(folder) / "killed")
        for run in (calm, killed):
            write_scenes(run.pictures, 7, given.images)
        held = [
            _prompts_are_the_recipes(found, calm.pictures),
            _captions_all(calm, given.model, given.batch_size, given.images),
            _survives(killed, given.model, given.batch_size, given.images),
        ]
    print("all held" if all(held) else "NOT all held", flush=True)
    return 0 if all(held) else 1


def _prompts_are_the_recipes(found: Resolved, pictures: Path) -> bool:
    family = found.choice.family
    prompt = build_prompt(family)
    foretold = Prompts(found.path, family.system).of(prompt)
    assert foretold is not None, "captiv's own prompt holds no image token"
    recipe, sight = _recipe(found, prompt), sight_of(found.path)
    files = sorted(pictures.glob("*.png"))
    same, counts = 0, set()
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        count = foretold.tokens + sight.tokens(sight.fitted(image).size)
        same += count == recipe(image)
        counts.add(count)
    told = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{min(counts)}"
    return _told("prompts equal to the recipe", same, len(files), f"{told} tokens")


def _recipe(found: Resolved, prompt: str | None) -> Any:
    """Return what counts the ids that transformers' own processor makes of an image."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(found.path, local_files_only=True)
    dialect = DIALECTS[config.model_type]
    processor = dialect.read_processor(transformers, found.path)
    dialect.settle(processor, config, found.path)
    text = _rendered(processor, found.choice.family.system, prompt or "")
    begin = processor.tokenizer.bos_token
    begun = begin is not None and text.startswith(begin)

    def count(image: Image.Image) -> int:
        given = dialect.given([image])
        made = processor(text=[text], images=given, add_special_tokens=not begun)
        return len(made["input_ids"][0])

    return count


def _rendered(processor: Any, system: str, prompt: str) -> str:
    turns = [("system", [{"type": "text", "text": system}])] if system else []
    turns.append(("user", [{"type": "image"}, {"type": "text", "text": prompt}]))
    for parts in (True, False):
        asked = [
            {"role": role, "content": content if parts else content[-1]["text"]}
            for role, content in turns
        ]
        with suppress(Exception):  # templates raise what they like for content not theirs
            text: str = processor.apply_chat_template(
                asked, tokenize=False, add_generation_prompt=True
            )
            if text.count(processor.image_token) == 1 and "'type'" not in text:
                return text
    raise SystemExit("The checkpoint's template puts no image into a prompt.")


def _captions_all(run: Run, model: str, batch_size: int | None, images: int) -> bool:
    code = run.start(model, batch_size).wait(_LIMIT_S)
    held = _told("captioned undisturbed", run.captions(), images, f"exit code {code}")
    log = run.log()
    spans = [
        (
            datetime.fromisoformat(at).timestamp() - float(took),
            datetime.fromisoformat(at).timestamp(),
        )
        for at, took in _CAPTIONED.findall(log)
    ]
    ready = _READY.search(log)
    if ready is not None and len(spans) > 1:
        _print_figures(spans, int(ready[1]))
    return held and code == 0


def _print_figures(spans: list[tuple[float, float]], capacity: int) -> None:
    ends = sorted(end for _, end in spans)
    first, last = ends[0], ends[max(0, len(ends) - capacity)]
    took_s = ends[-1] - min(begin for begin, _ in spans)
    print(f"images/s from the first request to the last answer: {len(spans) / took_s:.2f}")
    if last <= first:
        print(f"in flight over capacity: too few images for {capacity} at once")
        return
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    inside, area = 0, 0.0
    for (at, change), (then, _) in pairwise(changes):
        inside += change
        area += inside * max(0.0, min(then, last) - max(at, first))
    print(f"mean in flight over capacity ({capacity}): {area / (last - first) / capacity:.3f}")


def _survives(run: Run, model: str, batch_size: int | None, images: int) -> bool:
    process = run.start(model, batch_size)
    while process.poll() is None and run.captions() < max(1, images // 4):
        time.sleep(0.05)
    servers = _servers(process.pid)
    for pid in servers:
        os.kill(pid, signal.SIGKILL)
    there = run.captions()
    code = process.wait(_LIMIT_S)
    received = run.received()
    held = _told("vllm serve killed in mid-run", len(servers), 1, f"{there} captions were there")
    held &= _told("captioned all the same", run.captions(), images, f"exit code {code}")
    return held & _told(
        "received once", received.count(1), images, f"at most {max(received)}"
    ) and (code == 0)


def _servers(pid: int) -> list[int]:
    """Return the `vllm serve` among what descends from this process: the launcher's child."""
    found = []
    for child in _children(pid):
        words = (Path("/proc") / str(child) / "cmdline").read_bytes().split(b"\0")
        launches = any(word.endswith(b"engines/launch.py") for word in words)
        found += _children(child) if launches else _servers(child)
    return found


def _children(pid: int) -> list[int]:
    tasks = Path("/proc", str(pid), "task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _told(what: str, count: int, of: int, more: str) -> bool:
    print(f"{what}: {count} of {of} ({more})", flush=True)
    return count == of


if __name__ == "__main__":
    sys.exit(main())
