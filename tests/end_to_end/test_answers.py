"""Answers that are no captions, through the installed command: tried again, or failed and kept."""

import json
from collections import Counter

import pytest

from captiv.core.jobs import JobId, JobRow, JobState
from captiv.core.spec import Output
from captiv.store import Store, captions, jobs, runs
from tests.support import Home, finish, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def rows(home: Home) -> dict[int, JobRow]:
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        run = store.read(runs.page, None, 1)[0]
        assert store.read(runs.check_counts) == []
        return {row.id: row for row in store.read(jobs.page, run.id, None, JobId(0), 1000)}


def tries(keys: list[str]) -> dict[int, list[int]]:
    """The tries of each job, in the order in which a worker answered them."""
    found: dict[int, list[int]] = {}
    for key in keys:
        *_, job, _digest, number = key.rsplit("-", 3)
        found.setdefault(int(job), []).append(int(number))
    return found


def expected(home: Home) -> dict[str, str]:
    """What the torch-free engine says of the pictures when nothing is wrong."""
    calm = Home(home.folder / "calm")
    for picture in home.pictures.glob("*.png"):
        (calm.pictures / picture.name).write_bytes(picture.read_bytes())
    assert calm.scripted().generate().code == 0
    return calm.captions()


def test_a_glitch_is_tried_again_under_a_key_of_its_own_until_it_is_a_caption(home: Home) -> None:
    home.scripted(glitches=0.4).scenes(24, nested=False)

    ended = home.generate("--retries", "15", "--json")

    asked = tries(home.worker_keys())
    summary = ended.lines[-1]
    assert ended.code == 0, ended
    assert home.captions() == expected(home)
    assert all(numbers == list(range(len(numbers))) for numbers in asked.values()), asked
    again = sum(map(len, asked.values())) - 24
    assert again >= 5
    assert (summary["tried_again"], summary["degenerate"], summary["captioned"]) == (again, 0, 24)


def test_a_greedy_answer_is_tried_again_by_sampling_and_recorded_so(home: Home) -> None:
    home.scripted(glitches_greedy=True).scenes(3, nested=False)

    ended = home.generate()

    assert ended.code == 0, ended
    assert "3 answers were no caption, and tried again." in ended.err
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        made = [store.read(captions.history, row.place) for row in rows(home).values()]
    seeds = set()
    for (caption,) in made:
        settings = json.loads(caption.settings or "")
        assert settings["temperature"] > 0
        assert settings["seed"] == caption.seed
        seeds.add(caption.seed)
    assert len(seeds) == 3


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("loop", "a dog and a dog and", "it repeats itself without end"),
        ("empty", "", "it is empty"),
        ("refusal", "I'm sorry, but I can't help with this image.", "declines"),
        ("cut", "thing0 on thing5000,", "cut off"),
    ],
)
def test_what_is_never_a_caption_fails_with_its_text_and_is_never_saved(
    home: Home, kind: str, text: str, reason: str
) -> None:
    home.scenes(3, nested=False)
    bad = sorted(home.pictures.glob("*.png"))[1]
    bad.write_bytes(plain(home))
    home.scripted(degenerate_on=["cyan"], degenerate=kind)

    ended = home.generate("--json")

    listed = home.run("queue", "list", "--state", "failed")
    (told,) = home.run("queue", "list", "--state", "failed", "--json").lines
    assert ended.code == 1, ended
    assert sorted(Counter(map(len, tries(home.worker_keys()).values())).items()) == [(1, 2), (3, 1)]
    assert (ended.lines[-1]["degenerate"], ended.lines[-1]["tried_again"]) == (1, 2)
    assert not bad.with_suffix(".txt").exists()
    assert (told["state"], told["code"]) == ("failed", "degenerate")
    assert told["text"].startswith(text)
    assert reason in told["reason"]
    assert text in listed.out
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        assert store.read(captions.history, Output().place_of(str(bad))) == [], (
            "it was taken for a caption"
        )


def plain(home: Home) -> bytes:
    """A picture in cyan."""
    from PIL import Image

    path = home.folder / "cyan.png"
    Image.new("RGB", (64, 64), (0, 200, 200)).save(path)
    return path.read_bytes()


def test_a_text_that_the_users_own_limit_cuts_is_what_was_asked_for(home: Home) -> None:
    home.scenes(1, nested=False)
    picture = next(home.pictures.glob("*.png"))
    picture.write_bytes(plain(home))
    home.scripted(degenerate_on=["cyan"], degenerate="cut")

    ended = home.generate("--max-new-tokens", "6")

    assert ended.code == 0, ended
    assert len(picture.with_suffix(".txt").read_text().split()) == 6


def test_queue_retry_begins_another_round_under_new_keys(home: Home) -> None:
    home.scenes(1, nested=False)
    next(home.pictures.glob("*.png")).write_bytes(plain(home))
    home.scripted(degenerate_on=["cyan"])
    failed = home.generate("--retries", "1")

    again = home.run("queue", "retry")
    mended = home.scripted().run("queue", "retry")

    assert (failed.code, again.code, mended.code) == (1, 1, 0), (failed, again, mended)
    assert list(tries(home.worker_keys()).values()) == [[0, 1, 2, 3, 4]]
    assert "4 answers were no caption, and tried again." in mended.err


def test_retries_zero_and_the_setting(home: Home) -> None:
    home.scenes(1, nested=False)
    next(home.pictures.glob("*.png")).write_bytes(plain(home))
    home.scripted(degenerate_on=["cyan"])

    none = home.generate(CAPTIV_GENERATION_RETRIES="0")
    four = home.generate("--retries", "4", CAPTIV_GENERATION_RETRIES="0")
    too_many = home.generate("--retries", "21")

    assert (none.code, four.code, too_many.code) == (1, 1, 2)
    assert list(map(len, tries(home.worker_keys()).values())) == [1, 5]


def test_a_try_that_was_received_is_not_made_again_after_a_kill(home: Home) -> None:
    home.scripted(glitches=0.5, batch_s=0.1).scenes(30, nested=False)
    process = home.start_generate("--retries", "19", "--batch-size", "4")
    until(lambda: len(home.worker_keys()) > 20)

    process.kill()
    finish(process)
    until(lambda: not home.workers(), "the worker ended")
    at_kill, before = rows(home), len(home.worker_keys())
    again = home.generate("--retries", "19", "--batch-size", "4")

    assert again.code == 0, again
    assert home.captions() == expected(home)
    assert any(row.tries for row in at_kill.values())
    received = {JobState.DONE, JobState.CAPTIONED}
    for job, numbers in tries(home.worker_keys()[before:]).items():
        assert at_kill[job].state not in received
        assert min(numbers) >= at_kill[job].tries
        assert len(set(numbers)) == len(numbers)
