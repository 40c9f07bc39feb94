from captiv_worker.problems import problem
from captiv_worker.work import KEEP_S, Opened, WorkStore, fingerprint

from captiv.errors import EngineFailed, ImageUnreadable
from captiv.wire import CaptionReply, CaptionRequest, Generation

from .conftest import Clock

REPLY = CaptionReply(caption="a dog", model="blip", variant="blip-base", key="key", boot_id="boot")


def test_a_second_post_joins_work_that_is_running() -> None:
    store = WorkStore(Clock())

    _, work = store.open("key", b"content")

    assert store.open("key", b"content") == (Opened.JOINED, work)


def test_a_second_post_gets_the_caption_that_is_kept() -> None:
    store = WorkStore(Clock())
    _, work = store.open("key", b"content")

    store.end(work, REPLY)

    assert store.open("key", b"content") == (Opened.JOINED, work)
    assert work.done.is_set()


def test_a_key_with_other_content_is_told_apart() -> None:
    store = WorkStore(Clock())
    _, work = store.open("key", b"content")

    assert store.open("key", b"other")[0] is Opened.REUSED
    store.end(work, REPLY)
    assert store.open("key", b"other")[0] is Opened.REUSED


def test_a_problem_of_the_image_is_the_answer_for_good() -> None:
    store = WorkStore(Clock())
    _, work = store.open("key", b"content")

    store.end(work, problem(422, ImageUnreadable.code, "truncated"))

    assert store.open("key", b"content")[0] is Opened.JOINED


def test_a_problem_of_the_worker_is_told_but_computed_again() -> None:
    store = WorkStore(Clock())
    _, work = store.open("key", b"content")
    store.end(work, problem(500, EngineFailed.code, "broke"))

    assert store.find("key") is work
    assert store.open("key", b"content")[0] is Opened.NEW


def test_results_are_forgotten_after_their_time() -> None:
    clock = Clock()
    store = WorkStore(clock)
    _, work = store.open("key", b"content")
    store.end(work, REPLY)

    clock.now_s += KEEP_S - 1
    assert store.find("key") is work
    clock.now_s += 2
    assert store.find("key") is None


def test_running_work_is_never_forgotten() -> None:
    clock = Clock()
    store = WorkStore(clock, keep=0)
    _, work = store.open("key", b"content")

    clock.now_s += 10 * KEEP_S

    assert store.find("key") is work


def test_no_more_results_are_kept_than_allowed_the_oldest_going_first() -> None:
    store = WorkStore(Clock(), keep=2)

    for key in ("one", "two", "three"):
        store.end(store.open(key, b"")[1], REPLY)

    assert store.find("one") is None
    assert store.find("two") is not None
    assert store.find("three") is not None


def test_a_fingerprint_tells_settings_and_pixels_apart() -> None:
    plain = CaptionRequest()
    seeded = CaptionRequest(generation=Generation(seed=1))

    assert fingerprint(plain, b"image") == fingerprint(CaptionRequest(), b"image")
    assert fingerprint(plain, b"image") != fingerprint(seeded, b"image")
    assert fingerprint(plain, b"image") != fingerprint(plain, b"other")
