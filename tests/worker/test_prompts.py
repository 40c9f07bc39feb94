"""Prompts over a server's chat route: the template made for it, and the warning without it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
import yaml

from captiv.testing.ports import Port
from captiv.wire import CaptionRequest, Generation
from captiv.workers.openai import Asking, OpenAiClient, OpenAiServer, Wanted

from .checkpoints import PathOf, llava, named
from .conftest import DEADLINE_S, environment, picture, until
from .vllm import Standin, standin

__all__ = ["standin"]

COMPOSE = Path(__file__).parents[2] / "docker" / "vllm.compose.yaml"
SYSTEM = "You are a helpful assistant."
ASK = CaptionRequest(prompt=" Describe  it.", generation=Generation(max_new_tokens=5))

Chat = Callable[..., str]
"""Starts a chat server of a checkpoint; returns its address."""


@pytest.fixture(params=["joycaption-beta-one", "qwen3-vl-2b", "clip"])
def path(request: pytest.FixtureRequest, checkpoint_path: PathOf, tmp_path: Path) -> Path:
    if request.param != "clip":
        return checkpoint_path(named(request.param))
    llava.llava_clip(tmp_path / "llava")
    return tmp_path / "llava"


@pytest.fixture
def chat(standin: Standin) -> Iterator[Chat]:
    folder = standin()
    with ExitStack() as stack:

        def start(path: Path, *entrypoint: str, arguments: tuple[str, ...] = ()) -> str:
            port = Port()
            stack.callback(port.close)
            search = os.pathsep.join(map(str, (folder, Path(sys.executable).parent)))
            process = subprocess.Popen(
                [
                    *(entrypoint or ("vllm", "serve")),
                    str(path),
                    *arguments,
                    "--port",
                    str(port.number),
                ],
                env=environment(PATH=f"{search}{os.pathsep}{os.environ['PATH']}"),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            stack.callback(process.wait, DEADLINE_S)
            stack.callback(os.killpg, process.pid, signal.SIGKILL)  # with its own child
            url = f"http://127.0.0.1:{port.number}"
            until(lambda: answers(url))
            return url

        yield start


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health").status_code == 200
    except httpx2.HTTPError:
        return False


async def notes_of(url: str, path: Path, source: str | None = None) -> list[str]:
    """Return what a person is told after two images."""
    notes: list[str] = []
    asking = Asking(Wanted((str(path),)), source=source or str(path), system=SYSTEM)
    client = OpenAiServer(url, None, asking, on_note=notes.append)._address.connect()
    assert isinstance(client, OpenAiClient)
    for key, size in (("a", (64, 48)), ("b", (64, 64))):
        assert await client.caption(picture("red", size), "image/png", ASK, key, wait_s=5)
    await client.aclose()
    return notes


@pytest.mark.anyio
@pytest.mark.allow_blocking
async def test_compose_gives_the_server_a_template_that_makes_the_authors_prompts(
    chat: Chat, path: Path
) -> None:
    service = yaml.safe_load(COMPOSE.read_text())["services"]["vllm"]
    *entrypoint, script = service["entrypoint"]
    _, *options = [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in service["command"]]

    url = chat(path, *entrypoint, script.replace("$$", "$"), arguments=tuple(options))

    assert await notes_of(url, path) == []


@pytest.mark.anyio
@pytest.mark.allow_blocking
async def test_a_server_that_reads_another_prompt_is_told_of_once_with_what_helps(
    chat: Chat, checkpoint_path: PathOf
) -> None:
    path = checkpoint_path(named("joycaption-beta-one"))

    (note,) = await notes_of(chat(path), path)

    read, should = numbers(note)
    assert read > should
    assert f"python -m captiv_worker.prompts {path} > template.jinja" in note
    assert "--chat-template template.jinja --chat-template-content-format openai" in note


def numbers(note: str) -> tuple[int, int]:
    found = re.search(r"a prompt of (\d+) tokens, and the model's authors have (\d+)", note)
    assert found is not None, note
    return int(found[1]), int(found[2])


@pytest.mark.anyio
@pytest.mark.allow_blocking
async def test_nothing_is_said_of_a_model_whose_files_are_not_here(
    chat: Chat, checkpoint_path: PathOf
) -> None:
    path = checkpoint_path(named("joycaption-beta-one"))

    assert await notes_of(chat(path), path, source="nobody/has-this-here") == []
