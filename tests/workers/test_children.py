"""A folder of pictures is no place for code: what lies in it is never imported."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from captiv.cli import probe
from captiv.workers import LocalWorker
from captiv.workers.machine import all_devices
from captiv.workers.openai.foretold import foretelling

pytestmark = pytest.mark.allow_blocking

TRAP = "from pathlib import Path\nPath(__file__).with_name('imported').touch()\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with modules that leave a file when one is imported."""
    path = tmp_path / "pictures"
    (path / "PIL").mkdir(parents=True)
    (path / "PIL" / "__init__.py").write_text(TRAP)
    (path / "json.py").write_text(TRAP)
    monkeypatch.chdir(path)
    return path


def imported(folder: Path) -> list[Path]:
    return list(folder.rglob("imported"))


def test_what_torch_sees_is_asked_without_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["captiv.workers.machine"], "_TORCH", "import json, PIL\nprint('cuda:0')"
    )
    monkeypatch.setattr(probe, "_CHILD", "import json, PIL\nprint('{}')")

    assert all_devices() == ("cuda:0",)
    assert probe._ask_child() == ("{}\n", "")
    assert imported(folder) == []


async def test_a_prompt_is_foretold_without_them(folder: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30)).save(picture, "PNG")

    begun = await foretelling(str(folder), None, "What?", picture.getvalue())

    assert begun is not None
    await begun.process.wait()
    assert await begun.tokens() is None
    assert imported(folder) == []


async def test_a_worker_starts_without_them(
    folder: Path, local: Callable[..., LocalWorker]
) -> None:
    worker = local()

    await worker.start(lambda _phase: None)
    await worker.stop()

    assert imported(folder) == []
