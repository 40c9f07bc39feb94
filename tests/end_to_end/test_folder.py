"""A folder of pictures becomes a folder of captions: the main job through the installed command."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from captiv.core.spec import Output
from captiv.store import Store, jobs, runs
from tests.cases import sampled
from tests.support import DRAINING, Home, finish, told, until

pytestmark = pytest.mark.timeout(300)


def txt(picture: str) -> str:
    return str(Path(picture).with_suffix(".txt"))


def exact(home: Home, truth: dict[str, str]) -> float:
    captions = home.captions()
    return sum(captions.get(txt(p)) == caption for p, caption in truth.items()) / len(truth)


@pytest.mark.slow
@pytest.mark.parametrize("count", sampled(40, 300))
def test_every_picture_gets_its_own_caption(home: Home, count: int) -> None:
    truth = home.scenes(count)

    ended = home.generate()

    assert ended.code == 0, ended
    assert len(home.captions()) == count
    assert exact(home, truth) >= 0.95


@pytest.mark.slow
def test_what_is_passed_over_is_said_by_kind(home: Home) -> None:
    home.scripted().scenes(3, nested=False)
    for name in ("a.CR2", "b.cr3", "clip.MOV", "drawing.svg"):
        (home.pictures / name).write_bytes(b"whatever")
    unread = {"camera raw picture": 2, "video": 1, "SVG drawing": 1}

    dry = home.generate("--dry-run")
    dry_json = home.generate("--dry-run", "--json")
    ended = home.generate()
    again = home.generate("--json")

    said = "2 camera raw pictures, 1 SVG drawing, 1 video"
    assert (dry.code, ended.code, again.code) == (0, 0, 0)
    assert f"unread: {said}" in dry.out
    assert f"Not read: {said}." in ended.err
    assert json.loads(dry_json.out)["unread"] == unread
    assert json.loads(again.out.splitlines()[-1])["unread"] == unread
    assert len(home.captions()) == 3


@pytest.mark.slow
def test_a_folder_without_anything_that_is_read_says_what_is_there(home: Home) -> None:
    home.scripted()
    home.pictures.mkdir(exist_ok=True)
    film, raw = home.pictures / "clip.mp4", home.pictures / "a.dng"
    for path in (film, raw):
        path.write_bytes(b"whatever")

    ended = home.generate()
    named = home.run("caption", "generate", "--model", "shapes", str(film))

    assert ended.code == 1, ended
    assert "There is no image in" in ended.err
    assert "Not read: 1 camera raw picture, 1 video." in ended.err
    assert named.code == 2, named
    assert "clip.mp4 is a video; captiv reads JPEG" in named.err


@pytest.mark.slow
def test_a_second_run_does_nothing_and_overwriting_does_what_is_named(home: Home) -> None:
    home.scripted().scenes(12)
    home.generate()
    first = home.worker_keys()

    again = home.generate()
    five = sorted(home.pictures.rglob("*.png"))[:5]
    over = home.run("caption", "generate", "--model", "shapes", "--overwrite", *map(str, five))

    assert again.code == 0, again
    assert "12 skipped" in again.err
    assert over.code == 0, over
    assert "5 captioned" in over.err
    assert len(home.worker_keys()) == len(first) + 5 == 17


@pytest.mark.slow
def test_a_hand_edit_is_kept_and_named_until_all_is_asked_for(home: Home) -> None:
    home.scripted().scenes(4, nested=False)
    home.generate()
    edited = sorted(home.pictures.glob("*.txt"))[2]
    original = edited.read_text()
    edited.write_text("my own words")

    over = home.generate("--overwrite")
    kept = edited.read_text()
    everything = home.generate("--overwrite=all")

    assert over.code == 0, over
    assert kept == "my own words"
    assert f"{edited.with_suffix('.png')}" in over.err
    assert everything.code == 0, everything
    assert edited.read_text() == original


@pytest.mark.slow
@pytest.mark.parametrize("captioned_before", [True, False])
def test_undo_brings_back_what_overwriting_replaced(home: Home, captioned_before: bool) -> None:
    home.scripted().scenes(1, nested=False)
    picture = next(home.pictures.glob("*.png"))
    sidecar = picture.with_suffix(".txt")
    if captioned_before:
        home.generate()
    sidecar.write_text("my own words")
    home.generate("--overwrite=all", "--prefix", "q ")
    assert sidecar.read_text().startswith("q ")

    undone = home.run("caption", "undo", str(picture))
    text = sidecar.read_text()
    again = home.run("caption", "undo", str(picture))

    assert (undone.code, text) == (0, "my own words"), undone
    assert again.code == (0 if captioned_before else 2), again
    assert home.run("caption", "history", str(picture), "--json").lines[-2]["source"] == (
        "hand" if captioned_before else "import"
    )


@pytest.mark.slow
def test_a_text_that_captiv_never_wrote_is_recorded_before_it_is_replaced(home: Home) -> None:
    home.scripted().scenes(1, nested=False)
    picture = next(home.pictures.glob("*.png"))
    picture.with_suffix(".txt").write_text("from another tool")

    over = home.generate("--overwrite")

    assert over.code == 0, over
    assert picture.with_suffix(".txt").read_text().startswith("picture ")
    from captiv.store import captions

    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        texts = [
            (c.text, c.source)
            for c in store.read(captions.history, Output().place_of(str(picture)))
        ]
    assert ("from another tool", "import") in texts


@pytest.mark.slow
def test_an_interrupted_overwrite_finishes_its_own_set(home: Home) -> None:
    home.scripted().scenes(40)
    home.generate()
    before = len(home.worker_keys())
    hold = home.held()

    process = home.scripted(hold=str(hold), hold_after=1).start_generate("--overwrite")
    until(lambda: len(home.worker_keys()) > before)
    process.kill()
    finish(process)
    hold.unlink()
    late = home.pictures / "late.png"
    late.write_bytes(next(home.pictures.rglob("*.png")).read_bytes())
    again = home.generate("--overwrite")

    assert again.code == 0, again
    assert "Going on with run" in again.err
    assert not late.with_suffix(".txt").exists()
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        latest = store.read(runs.page, None, 1)[0]
    assert latest.counts.done == 40
    keys = home.worker_keys()[before:]
    assert len(set(keys)) == 40


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    sampled(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
)
def test_a_signal_drains_and_the_same_command_goes_on(home: Home, number: int) -> None:
    hold = home.held()
    home.scripted(hold=str(hold), hold_after=1).scenes(60)
    process = home.start_generate("--batch-size", "4")
    until(lambda: len(home.worker_keys()) > 0)

    process.send_signal(number)
    told(process, DRAINING)
    hold.unlink()
    stopped = finish(process)
    written = home.captions()
    again = home.generate()

    assert stopped.code == 130, stopped
    assert "To resume: " in stopped.err
    assert 0 < len(written) < 60
    assert again.code == 0, again
    assert len(home.captions()) == 60
    assert len(home.worker_keys()) == 60, "a drained image was captioned again"
    until(lambda: not home.workers(), "the worker ended")


@pytest.mark.slow
def test_a_second_signal_stops_at_once_and_loses_nothing_received(home: Home) -> None:
    began = home.folder / "began"
    home.scripted(hold=str(home.held()), touch=str(began)).scenes(8)
    process = home.start_generate()
    until(began.exists, "a batch")

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    stopped = finish(process)  # the batch does not end by itself

    assert stopped.code == 130, stopped
    until(lambda: not home.workers(), "the worker ended")


@pytest.mark.slow
def test_each_bad_file_fails_alone_and_is_named_with_its_reason(home: Home) -> None:
    home.scripted()
    truth = home.scenes(6, nested=False)
    good = home.pictures / next(iter(truth))
    (home.pictures / "empty.png").write_bytes(b"")
    (home.pictures / "cut.png").write_bytes(good.read_bytes()[:300])
    (home.pictures / "text.png").write_text("no picture at all")
    (home.pictures / "dangling.jpg").symlink_to(home.pictures / "nowhere.jpg")
    (home.pictures / "loop").symlink_to(home.pictures)
    subprocess.run(["mkfifo", str(home.pictures / "pipe.png")], check=True)

    ended = home.generate("--json")

    by_name = {Path(o["path"]).name: o for o in ended.lines if "path" in o}
    assert ended.code == 1, ended
    assert {by_name[n]["status"] for n in ("empty.png", "cut.png", "text.png")} == {"failed"}
    assert {by_name[n]["code"] for n in ("empty.png", "cut.png", "text.png")} == {
        "image_unreadable"
    }
    assert all(by_name[Path(p).name]["status"] == "captioned" for p in truth)
    assert "pipe.png" not in by_name
    assert len(home.captions("*.txt")) == 6


@pytest.mark.slow
def test_names_of_every_kind_survive(home: Home) -> None:
    home.scripted().scenes(1, nested=False)
    picture = next(home.pictures.glob("*.png"))
    names = [
        "two words.png",
        "quo'te\"s.png",
        "new\nline.png",
        "emoji 🦊.png",
        "-dash.png",
        "%41.png",
    ]
    for name in names:
        (home.pictures / name).write_bytes(picture.read_bytes())
    raw = bytes(home.pictures) + b"/latin-\xe9.png"
    Path(raw.decode(errors="surrogateescape")).write_bytes(picture.read_bytes())

    ended = home.generate()

    assert ended.code == 0, ended
    for name in names:
        assert (home.pictures / name).with_suffix(".txt").exists(), name
    assert Path(raw.replace(b".png", b".txt").decode(errors="surrogateescape")).exists()


@pytest.mark.slow
def test_images_that_would_share_a_sidecar_are_named_and_settled_by_full_names(home: Home) -> None:
    home.scripted()
    truth = home.scenes(2, nested=False)
    one, two = (home.pictures / p for p in truth)
    one.rename(home.pictures / "a.png")
    from PIL import Image

    with Image.open(two) as image:
        image.convert("RGB").save(home.pictures / "a.jpg")

    shared = home.generate()
    full = home.generate("--sidecar-name", "full")

    assert shared.code == 1, shared
    assert "a.txt would belong to" in shared.err
    assert "--sidecar-name full" in shared.err
    assert not (home.pictures / "a.txt").exists()
    assert full.code == 0, full
    assert {"a.png.txt", "a.jpg.txt"} <= set(home.captions())


@pytest.mark.slow
def test_exit_codes_tell_usage_configuration_and_no_worker_apart(home: Home) -> None:
    home.scenes(1, nested=False)

    usage = home.generate("--mode", "no-such-mode")
    (home.data).mkdir(exist_ok=True)
    (home.data / "config.toml").write_text("[model\n")
    configuration = home.generate()
    (home.data / "config.toml").unlink()
    nobody = home.generate("--worker", "http://127.0.0.1:9", CAPTIV_WORKER_TOKEN="x")
    broken = home.scripted(fail_load="no such weights").generate()

    assert usage.code == 2, usage
    assert configuration.code == 3, configuration
    assert broken.code == 4, broken
    assert "no such weights" in broken.err
    assert nobody.code == 4, nobody
    assert not home.captions()


@pytest.mark.slow
def test_prefix_suffix_extension_limit_and_no_save(home: Home) -> None:
    home.scripted().scenes(5, nested=False)

    printed = home.generate("--no-save", "--limit", "2")
    written = home.generate(
        "--prefix", "ohwx, ", "--suffix", "!", "--extension", "caption", "--limit", "3"
    )

    assert printed.code == 0, printed
    assert len(printed.out.splitlines()) == 2
    assert not home.captions("*.txt")
    texts = home.captions("*.caption")
    assert written.code == 0, written
    assert len(texts) == 3
    assert all(t.startswith("ohwx, picture ") and t.endswith("!") for t in texts.values())


@pytest.mark.slow
def test_a_dry_run_does_nothing(home: Home) -> None:
    home.scripted().scenes(5, nested=False)

    ended = home.generate("--dry-run", "--json")

    assert ended.code == 0, ended
    facts = json.loads(ended.out)
    assert (facts["images"], facts["model"]) == (5, "shapes")
    assert not home.captions()
    assert not (home.data / "data" / "captiv.db").exists()


@pytest.mark.slow
def test_two_commands_at_once_do_each_image_once(home: Home) -> None:
    home.scripted(batch_s=0.1).scenes(50)

    both = [home.start_generate("--batch-size", "4") for _ in range(2)]
    ended = [finish(p) for p in both]

    assert [e.code for e in ended] == [0, 0], ended
    assert len(home.captions()) == 50
    assert len(home.worker_keys()) == len(set(home.worker_keys())) == 50


@pytest.mark.slow
def test_two_runs_over_the_same_images_pay_for_each_once(home: Home) -> None:
    home.scripted(batch_s=0.1).scenes(30, nested=False)
    one = home.start_generate("--batch-size", "4")
    until(lambda: bool(home.worker_keys()))

    two = home.start("caption", "generate", "--model", "shapes", str(home.pictures))
    ended = [finish(p) for p in (one, two)]

    assert [e.code for e in ended] == [0, 0], ended
    assert len(home.captions()) == len(home.worker_keys()) == 30


@pytest.mark.slow
def test_a_follower_takes_over_the_run_of_a_dispatcher_that_dies(home: Home) -> None:
    home.scripted(batch_s=0.2).scenes(40)
    holder = home.start_generate("--batch-size", "4")
    until(lambda: bool(home.worker_keys()))
    follower = home.start_generate("--batch-size", "4")
    until(lambda: len(home.worker_keys()) >= 8)

    holder.kill()
    finish(holder)
    ended = finish(follower)

    assert ended.code == 0, ended
    assert len(home.captions()) == 40


@pytest.mark.slow
def test_a_read_only_folder_keeps_the_captions_and_retry_writes_them(home: Home) -> None:
    home.scripted().scenes(3, nested=False)
    mounted = subprocess.run(
        ["mount", "--bind", str(home.pictures), str(home.pictures)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        hold = home.held()
        process = home.scripted(hold=str(hold)).start_generate()
        until(lambda: bool(home.workers()))
        subprocess.run(["mount", "-o", "remount,ro,bind", str(home.pictures)], check=True)
        hold.unlink()
        refused = finish(process)
        subprocess.run(["mount", "-o", "remount,rw,bind", str(home.pictures)], check=True)
        paid = len(home.worker_keys())
        retried = home.run("queue", "retry")
    finally:
        subprocess.run(["umount", "-l", str(home.pictures)], check=True)

    assert refused.code == 1, refused
    assert "queue retry" in refused.err
    assert retried.code == 0, retried
    assert len(home.captions()) == 3
    assert len(home.worker_keys()) == paid == 3


@pytest.mark.slow
def test_failed_images_are_tried_again_by_a_new_run(home: Home) -> None:
    home.scripted().scenes(2, nested=False)
    bad = home.pictures / "bad.png"
    bad.write_bytes(b"")
    first = home.generate()
    bad.write_bytes(next(home.pictures.glob("scene*.png")).read_bytes())

    second = home.generate()

    assert (first.code, second.code) == (1, 0)
    assert bad.with_suffix(".txt").exists()
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        assert len(store.read(runs.page, None, 10)) == 2
        assert store.read(jobs.failure_groups, store.read(runs.page, None, 10)[1].id)


@pytest.mark.slow
def test_a_culprit_that_kills_its_worker_fails_alone(home: Home) -> None:
    home.scripted().scenes(20, nested=False)
    from PIL import Image

    Image.new("RGB", (64, 64), (0, 255, 255)).save(home.pictures / "killer.png")

    ended = home.generate("--json", CAPTIV_ENGINE_OPTIONS='{"exit_on": ["cyan"], "batch_s": 0.05}')

    failed = [o for o in ended.lines if o["status"] == "failed"]
    assert ended.code == 1, ended
    assert [Path(o["path"]).name for o in failed] == ["killer.png"]
    assert failed[0]["code"] == "image_crashes"
    assert len(home.captions()) == 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_kill_leaves_no_worker_and_no_half_file(home: Home) -> None:
    home.scripted(batch_s=0.1).scenes(30)
    process = home.start_generate("--batch-size", "4")
    until(lambda: len(home.worker_keys()) > 4)

    process.kill()
    finish(process)

    until(lambda: not home.workers(), "the worker ended")
    assert all(text.startswith("picture ") for text in home.captions().values())
