"""The device's queue: what the engine says belongs together is captioned together."""

import threading
from collections.abc import Hashable, Sequence
from pathlib import Path

from captiv_worker.batch_file import BatchFile
from captiv_worker.device import Device, Ready, need_of
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
        resized=lambda _count, _crowd: None,
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


def test_images_are_offered_and_counted_while_the_engine_says_what_they_are_kin_to(
    tmp_path: Path,
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Slow(ByWidth):
        def kin(self, item: EngineItem) -> Hashable:
            asked.set()
            assert go_on.wait(10)
            return None

    engine, answered = Slow(), list[str]()
    device = Device(
        BatchFile(tmp_path / "batch"),
        lambda results: answered.extend(work.key for work, _ in results),
        resized=lambda _count, _crowd: None,
    )
    offered: list[int] = []

    def offer(number: int) -> None:
        item = EngineItem(Image.new("1", (8, 8)), str(number), Generation())
        device.offer(Ready(Work(str(number), b""), item))
        offered.append(device.waiting())

    serving = threading.Thread(target=device.serve, args=(engine, Sizes(4)))
    serving.start()
    offer(0)
    assert asked.wait(10)
    offering = threading.Thread(target=offer, args=(1,))
    offering.start()
    offering.join(2)
    while_asked = list(offered)
    go_on.set()
    until(lambda: len(answered) == 2)
    device.stop()
    serving.join()
    offering.join()

    assert while_asked == [1, 2]
    assert device.waiting() == 0


class ByTokens(ByWidth):
    """Fills up shorter rows, and has a token for each pixel of width."""

    def kin(self, item: EngineItem) -> Hashable:
        return Kin("Describe it.", item.image.width, fills_up=True)


def test_rows_of_about_one_length_share_a_batch_and_are_told_as_their_longest(
    tmp_path: Path,
) -> None:
    engine, sizes = ByTokens(), Sizes(4, 64)
    answered: list[str] = []
    told: list[tuple[int, int]] = []
    device = Device(
        BatchFile(tmp_path / "batch"),
        lambda results: answered.extend(work.key for work, _ in results),
        resized=lambda count, crowd: told.append((count, crowd)),
    )
    for number, width in enumerate((750, 740, 760, 90)):
        item = EngineItem(Image.new("1", (width, 1)), str(number), Generation(max_new_tokens=100))
        device.offer(Ready(Work(str(number), b""), item))

    thread = threading.Thread(target=device.serve, args=(engine, sizes))
    thread.start()
    until(lambda: len(answered) == 4)
    device.stop()
    thread.join()

    assert engine.batches == [["0", "1", "2"], ["3"]]
    longest = need_of(Kin("Describe it.", 760, fills_up=True), Generation(max_new_tokens=100))
    assert sizes.of(longest) == 12, "four times the three rows that fitted, as long as the longest"
    assert told[0] == (15, 4 * 52), "the means of three images that go by 12, and one by 60"


def test_a_row_takes_memory_by_image_prompt_answer_and_beams() -> None:
    greedy, beams = Generation(max_new_tokens=400, num_beams=1), Generation(num_beams=5)

    assert need_of(Kin("a" * 40, 729), greedy).tokens == 729 + 0.75 * (10 + 400) + 0.5
    assert need_of(Kin("a dog", 729), greedy) == need_of(Kin("a cat", 729), greedy)
    assert need_of(Kin("a dog", 729), greedy).bucket > need_of(Kin("a dog", 64), greedy).bucket
    assert need_of("a dog", beams).tokens > 4 * need_of("a dog", greedy).tokens / 2
    assert need_of("a dog", beams).shape != need_of("a dog", greedy).shape
    assert need_of(None, greedy) == need_of("", greedy)
    assert need_of("描述" * 20, greedy).tokens == 0.75 * (30 + 400) + 0.5


def test_a_generous_limit_does_not_put_all_images_into_one_bucket() -> None:
    generous = Generation(max_new_tokens=4096)

    buckets = {need_of(Kin("", tokens), generous).bucket for tokens in range(64, 1281, 16)}

    assert len(buckets) == 8
