"""Failures that a later command meets, limits, and lost sidecars, through the installed command."""

import json
import os
from pathlib import Path

import pytest

from captiv.store import Connection, Store
from tests.support import Home, finish, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def workers_begun(home: Home) -> int:
    """How many workers captiv has started."""
    log = home.data / "log" / "captiv.log"
    return log.read_text().count("worker ready") if log.exists() else 0


def done_sidecars(home: Home) -> list[str]:
    """Return the names of the sidecars whose jobs are done."""

    def look(conn: Connection) -> list[str]:
        rows = conn.execute("SELECT sidecar FROM jobs WHERE state='done' ORDER BY id")
        return [Path(path).name for (path,) in rows]

    database = home.data / "data" / "captiv.db"
    if not database.exists():
        return []
    with Store.open(database, read_only=True) as store:
        return store.read(look)


def test_an_unreadable_image_is_not_tried_again_and_no_model_is_loaded_for_it(home: Home) -> None:
    home.scripted().scenes(3, nested=False)
    bad = home.pictures / "bad.png"
    bad.write_bytes(b"no image")
    first = home.generate("--json")

    again = home.generate("--json", CAPTIV_ENGINE_OPTIONS=json.dumps({"fail_load": "loaded"}))
    told = home.generate()
    listed = home.run("queue", "list", "--state", "failed")

    assert (first.code, first.lines[-1]["failed"], first.lines[-1]["not_tried"]) == (1, 1, 0)
    assert again.code == 1, again
    assert [o["status"] for o in again.lines] == ["ended"], "an old failure is told as new"
    assert (again.lines[-1]["failed"], again.lines[-1]["not_tried"]) == (1, 1)
    assert "1 image was not tried again: it failed before and nothing changed" in told.err
    assert "--retry-failed" in told.err
    assert "image_unreadable" in listed.out


def test_it_is_tried_when_the_file_changed_or_when_asked(home: Home) -> None:
    home.scripted().scenes(2, nested=False)
    good = next(home.pictures.glob("*.png")).read_bytes()
    bad = home.pictures / "bad.png"
    bad.write_bytes(b"no image")
    home.generate()

    asked = home.generate("--retry-failed", "--json")
    retried = home.run("queue", "retry", "--json")
    previewed = home.generate("--dry-run", "--json")
    bad.write_bytes(good)
    mended = home.generate("--json")

    assert [o["status"] for o in asked.lines] == ["failed", "ended"], asked
    assert asked.lines[-1]["not_tried"] == 0
    assert [o["status"] for o in retried.lines] == ["failed", "ended"], retried
    assert (previewed.lines[0]["images"], previewed.lines[0]["not_tried"]) == (0, 1)
    assert mended.code == 0, mended
    assert bad.with_suffix(".txt").exists()


def test_a_looping_answer_is_tried_again_only_with_another_ask(home: Home) -> None:
    home.scripted(degenerate_on=["red"])
    home.scenes(1, nested=False)
    from PIL import Image

    Image.new("RGB", (64, 64), (255, 0, 0)).save(home.pictures / "red.png")
    home.generate()
    asked = len(home.worker_keys())

    same = home.generate("--json")
    more = home.generate("--json", "--retries", "4")

    assert (same.code, same.lines[-1]["not_tried"]) == (1, 1)
    assert len(home.worker_keys()) == asked + 5
    assert (more.lines[-1]["not_tried"], more.lines[-1]["degenerate"]) == (0, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_could_not_be_read_is_captioned_once_it_can_be(home: Home) -> None:
    home.scripted().scenes(2, nested=False)
    hidden = next(home.pictures.glob("*.png"))
    hidden.chmod(0)
    first = home.generate("--json")
    hidden.chmod(0o644)

    again = home.generate("--json")

    assert first.code == 1
    assert again.code == 0, again
    assert [o["status"] for o in again.lines] == ["captioned", "ended"]


def test_a_missing_image_is_captioned_once_it_is_back(home: Home) -> None:
    home.scripted().scenes(2, nested=False)
    picture = next(home.pictures.glob("*.png"))
    (home.pictures / "link.png").symlink_to(home.folder / "later.png")
    first = home.generate("--json")
    (home.folder / "later.png").write_bytes(picture.read_bytes())

    again = home.generate("--json")

    assert (first.code, again.code) == (1, 0), (first, again)
    assert [o["status"] for o in again.lines] == ["captioned", "ended"]


def test_a_limit_is_of_captions_and_never_exceeded(home: Home) -> None:
    home.scripted().scenes(20, nested=False)
    for n in range(7):
        (home.pictures / f"aa{n}.png").write_bytes(b"no image")

    first = home.generate("--limit", "6", "--json")
    second = home.generate("--limit", "6", "--json", "--batch-size", "4")

    assert (first.lines[-1]["captioned"], first.lines[-1]["failed"]) == (6, 7), first
    assert (second.lines[-1]["captioned"], second.lines[-1]["not_tried"]) == (6, 7), second
    assert len(home.captions()) == len(home.worker_keys()) == 12


def test_lost_sidecars_of_an_interrupted_run_come_back_without_a_worker(home: Home) -> None:
    home.scripted(batch_s=0.2).scenes(12, nested=False)
    process = home.start_generate("--batch-size", "2")
    until(lambda: len(home.captions()) >= 6)
    process.kill()
    finish(process)
    before = home.captions()
    lost, removed, edited, *_ = sorted(before)
    (home.pictures / lost).unlink()
    (home.pictures / edited).write_text("my own words")
    picture = (home.pictures / removed).with_suffix(".png")
    assert home.run("caption", "unset", str(picture)).code == 0

    again = home.generate(CAPTIV_ENGINE_OPTIONS="{}")

    after = home.captions()
    keys = home.worker_keys()
    assert again.code == 0, again
    assert len(after) == 12
    assert after[lost] == before[lost]
    assert after[edited] == "my own words"
    assert after[removed] == before[removed], "the same model says the same"
    assert "1 sidecar was gone, and written again from the job table." in again.err
    assert len(keys) >= 12


def test_lost_sidecars_of_an_overwrite_with_another_extension_come_back(home: Home) -> None:
    home.scripted(batch_s=0.2).scenes(8, nested=False)
    for picture in home.pictures.glob("*.png"):
        picture.with_suffix(".txt").write_text("an older one")
        picture.with_suffix(".cap").write_text("replace me")
    process = home.start_generate("--batch-size", "2", "--overwrite", "--extension", ".cap")

    def replaced() -> list[str]:
        return [n for n, t in home.captions("*.cap").items() if t.startswith("picture")]

    until(lambda: len(done_sidecars(home)) >= 4)
    process.kill()
    finish(process)
    lost = done_sidecars(home)[:3]
    for name in lost:
        (home.pictures / name).unlink()

    again = home.generate("--overwrite", "--extension", ".cap", CAPTIV_ENGINE_OPTIONS="{}")

    assert again.code == 0, again
    assert len(replaced()) == 8
    assert set(home.captions("*.txt").values()) == {"an older one"}
    assert "3 sidecars were gone" in again.err
