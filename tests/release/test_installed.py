"""Wheel and sdist, each installed into a clean environment that has nothing else of captiv's."""

import json
import re
import subprocess

import pytest

from tests.cases import sampled
from tests.worker.conftest import TOKEN, Serve, serve

from .conftest import Place, Release, installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

__all__ = ["serve"]


@pytest.fixture(scope="module", params=sampled("wheel", "sdist"))
def place(
    request: pytest.FixtureRequest, release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    kind: str = request.param
    return installed(str(getattr(release, kind)), tmp_path_factory.mktemp(kind))


def test_it_is_there_without_torch(place: Place) -> None:
    names = {
        row["name"]
        for row in json.loads(place.runs("python", "-m", "pip", "list", "--format=json"))
    }

    assert "captiv" in names
    assert not names & {"torch", "transformers", "pytest"}
    place.runs("python", "-m", "pip", "check")


def test_its_commands_run(place: Place) -> None:
    assert re.fullmatch(r"captiv \d+\.\d+\.\d+\n", place.runs("captiv", "--version"))
    assert "joycaption" in place.runs("captiv", "model", "list")
    assert "--stdin-token" in place.runs("captiv-worker", "--help")
    man = place.folder / "venv" / "share" / "man" / "man1" / "captiv.1"
    assert man.read_text(encoding="utf-8").startswith(".TH CAPTIV 1")


def test_it_captions_with_a_worker_and_keeps_what_it_did(place: Place, serve: Serve) -> None:
    """The migrations make the job table, and a worker elsewhere captions."""
    worker = serve()
    make = ("-m", "captiv.testing.scenes", "pictures", "--seed", "1", "--count", "3")
    place.runs("python", *make)

    env = place.env | {"CAPTIV_WORKER_TOKEN": TOKEN}
    line = ["generate", "pictures", "--worker", worker.url]
    Place(place.folder, env).runs("captiv", "caption", *line)

    assert len(list((place.folder / "pictures").glob("*.txt"))) == 3
    assert re.search(r"^\d+\tfinished\t3\t", place.runs("captiv", "queue", "status"), re.MULTILINE)


def test_what_it_lacks_for_this_machine_it_names(place: Place) -> None:
    place.runs("python", "-m", "captiv.testing.scenes", "more", "--seed", "2", "--count", "1")

    done = subprocess.run(
        [str(place.folder / "venv/bin/captiv"), "caption", "generate", "more", "--model", "shapes"],
        cwd=place.folder,
        env=place.env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4
    assert "pip install 'captiv[local]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_everything_in_it_can_be_imported(place: Place) -> None:
    """But for what needs an extra that is not there, and says so by its import."""
    code = """
import importlib, pkgutil, sys
import captiv, captiv_worker
for package in (captiv, captiv_worker):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if "__main__" in found.name or ".migrations" in found.name:
            continue
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            print(found.name, error.name)
"""
    missing = dict(line.split() for line in place.runs("python", "-c", code).splitlines())

    assert set(missing.values()) <= {"torch", "transformers", "jinja2", "tokenizers"}
    assert all(name.startswith(("captiv_worker.engines", "captiv.gui")) for name in missing)
