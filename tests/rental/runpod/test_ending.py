"""How a pod on RunPod ends itself."""

import json
import re
from pathlib import Path

from captiv.rental.provider import ending_as_json
from captiv.rental.runpod.ending import ending

DOCS = Path(__file__).parents[3] / "docs"


def test_who_makes_a_pod_by_hand_is_told_the_calls_that_captiv_sets() -> None:
    page = (DOCS / "worker-image.md").read_text(encoding="utf-8")
    shown = re.findall(r"```json\n(.*)\n```", page)

    assert [json.loads(text) for text in shown] == [
        json.loads(ending_as_json(ending("https://api.runpod.io")))
    ]


def test_a_slash_at_the_end_of_the_address_is_not_doubled() -> None:
    assert ending("https://api.runpod.io/") == ending("https://api.runpod.io")
