"""A folder whose answers are objects: the installed command, two files for each image."""

import json
import signal
import sys
from typing import Any

import pytest
from PIL import Image

from captiv.core.structure import NAMED
from captiv.testing.engine import scripted_object
from tests.support import Home

from .test_output import killed_at_its_name

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ASKED = ("--model", "qwen-vl", "--schema", "caption-tags")


def true_values(home: Home, scenes: dict[str, str]) -> dict[str, Any]:
    """Return what each image's object has to be, by the name of its file."""
    schema = json.dumps(NAMED["caption-tags"])
    return {
        str(home.sidecar(name).with_suffix(".json")): scripted_object(
            Image.open(home.pictures / name), schema
        )
        for name in scenes
    }


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_kill_between_the_two_files_of_an_image_is_finished_by_the_same_command(
    home: Home,
) -> None:
    scenes = home.scripted().scenes(6)
    expected = true_values(home, scenes)

    killed = killed_at_its_name(home, "before", *ASKED)
    between = home.captions("**/*.json"), home.captions()
    ended = home.generate(*ASKED, "--json")
    again = home.generate(*ASKED, "--json")

    assert killed.code == -signal.SIGKILL, killed
    assert between[0] != {}
    assert between[1] == {}
    assert (ended.code, again.code) == (0, 0), (ended, again)
    objects = home.captions("**/*.json")
    assert {name: json.loads(text) for name, text in objects.items()} == expected
    assert objects.items() >= between[0].items()
    assert home.captions() == {
        name.replace(".json", ".txt"): ", ".join([value["caption"], *value["tags"]])
        for name, value in expected.items()
    }
    assert again.lines[-1]["skipped"] == len(scenes)
