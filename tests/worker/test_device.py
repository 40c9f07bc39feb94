"""The device's queue: what the engine says belongs together is captioned together."""

import threading
from collections.abc import Hashable, Sequence
from pathlib import Path

from captiv_worker.batch_file import BatchFile
from captiv_worker.device import Device, Ready, kind_of
from captiv_worker.engines import Answer, EngineItem, Loaded, Outcome, Progress
from captiv_worker.engines.spec import Kin
from captiv_worker.sizes import Sizes
from captiv_worker.work import Work
from PIL import Image

from captiv.wire import Generation

from .conftest import until


class ByWidth:
    """Batches pictures of one width, and breaks on the narrowest."""

    def __init__(self) -> None:
        self.batches: list[list[str | None]] = []

    def load(self, progress: Progress) -> Loaded:
        raise NotImplementedError

    def kin(self, item: EngineItem) -> Hashable:
        if item.image.width == 1:
            raise ValueError("too narrow")
        return item.image.width

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        self.batches.append([item.prompt for item in items])
        return [Answer(str(item.prompt)) for item in items]


def test_a_batch_holds_what_the_engine_says_is_kin(tmp_path: Path) -> None:
    engine = ByWidth()
    answered: list[str] = []
    device = Device(
        BatchFile(tmp_path / "batch"),
        lambda results: answered.extend(work.key for work, _ in results),
        resized=lambda _count: None,
    )
    for number, width in enumerate((8, 1, 9, 8, 1, 9)):
        item = EngineItem(Image.new("RGB", (width, 8)), str(number), Generation())
        device.offer(Ready(Work(str(number), b""), item))
    assert device.waiting() == 6

    thread = threading.Thread(target=device.serve, args=(engine, Sizes(4)))
    thread.start()
    until(lambda: len(answered) == 6)
    device.stop()
    thread.join()

    assert engine.batches == [["0", "3"], ["1"], ["2", "5"], ["4"]]


def test_what_was_found_out_of_memory_holds_for_other_words_but_not_for_larger_images() -> None:
    greedy, beams = Generation(num_beams=1), Generation(num_beams=5)

    assert kind_of((Kin("a dog", 729), greedy)) == kind_of((Kin("a cat", 729), greedy))
    assert kind_of((Kin("a dog", 729), greedy)) != kind_of((Kin("a dog", 64), greedy))
    assert kind_of((Kin("a dog", 729), greedy)) != kind_of((Kin("a dog" * 200, 729), greedy))
    assert kind_of(("a dog", greedy)) != kind_of(("a dog", beams))
    assert kind_of((None, greedy)) == kind_of(("a dog", greedy))
