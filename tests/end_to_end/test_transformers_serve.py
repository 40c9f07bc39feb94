"""Somebody else's server, and a tiny model in it: `transformers serve` behind captiv's queue."""

import importlib.util
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from captiv.testing.ports import Port
from tests.support import Home, finish, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("fastapi") is None, reason="pip install transformers[serving]"
    ),
]

TOKENS = 12
START_S = 240.0
"""It imports torch and half of transformers before it listens."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.worker.checkpoints.llava import llava_clip

    folder = tmp_path_factory.mktemp("served") / "tiny-llava"
    llava_clip(folder)
    return folder


@contextmanager
def serving(model: Path, folder: Path) -> Iterator[str]:
    port = Port()
    cache = folder / "cache"
    (cache / "hub").mkdir(parents=True)
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    command += ["--device", "cpu", "--dtype", "float32", "--port", str(port.number)]
    env = os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1"], env=env, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port.number}"

    def listening() -> bool:
        assert process.poll() is None, (folder / "serve.log").read_text()
        with suppress(urllib.error.URLError):
            return bool(urllib.request.urlopen(f"{url}/v1/models", timeout=5).read())
        return False

    try:
        deadline = time.monotonic() + START_S
        while not listening():
            assert time.monotonic() < deadline, (folder / "serve.log").read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.kill()  # it takes its time to end by itself
        process.wait(60)
        port.close()


def directly(model: Path, pictures: list[Path], prompt: str) -> dict[str, str]:
    """Ask the model in this process, as its authors would."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(model)
    network: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32)
    said = {}
    for path in pictures:
        parts = [{"type": "image", "image": Image.open(path)}, {"type": "text", "text": prompt}]
        asked = processor.apply_chat_template(
            [{"role": "user", "content": parts}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        out = network.generate(**asked, max_new_tokens=TOKENS, do_sample=False)
        answer = processor.decode(out[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
        lines = answer.strip().replace("\r\n", "\n").replace("\r", "\n")  # as a file is read
        said[path.with_suffix(".txt").name] = lines
    return said


def test_the_captions_are_what_the_model_says_when_it_is_asked_directly(
    model: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    home.scenes(6, nested=False)
    pictures = sorted(home.pictures.glob("*.png"))
    asked = ("caption", "generate", "--protocol", "openai", "--max-new-tokens", str(TOKENS))
    with serving(model, tmp_path) as url:
        first = home.run(*asked, "--worker", url)
        plain = home.captions()
        own = home.run(*asked, "--worker", url, "--prompt", "Write a haiku.", "--overwrite")
        refused = home.run(
            *asked, "--worker", url, "--top-k", "5", "--temperature", "1", "--overwrite"
        )

    assert first.code == 0, first
    assert len(set(plain.values())) == len(pictures)
    assert plain == directly(model, pictures, "Describe this image.")
    assert own.code == 0, own
    assert home.captions() == directly(model, pictures, "Write a haiku.")
    assert refused.code == 4, refused
    assert "top_k" in refused.err


def test_a_server_that_dies_keeps_the_images_for_the_next_one(model: Path, tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.scenes(60, nested=False)
    asked = ["caption", "generate", "--protocol", "openai", "--max-new-tokens", str(TOKENS)]
    asked += ["--retries", "20"]  # weights of chance say nothing at all now and then
    with serving(model, tmp_path / "a") as url:
        run = home.start(*asked, "--worker", url)
        until(lambda: len(home.captions()) > 3, "the first captions")
    ended = finish(run, timeout=300)
    made = len(home.captions())
    assert ended.code == 4, ended
    assert made < 60

    with serving(model, tmp_path / "b") as url:
        again = home.run(*asked, "--worker", url, timeout=300)

    assert again.code == 0, again
    assert len(home.captions()) == 60
    assert f"{60 - made} captioned" in again.err, again
