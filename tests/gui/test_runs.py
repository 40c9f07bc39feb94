"""Captioning from the page: the same services, runs and sidecars as on the command line."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captiv.dispatch.events import FIRST_LINE_ONLY
from tests.support import Home, finish, until

from .pages import Page, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.allow_blocking, pytest.mark.timeout(180)]


def begin(visitor: Visitor, **wish: Any) -> dict[str, Any]:
    response = visitor.http.post("/api/runs", json={"model": "shapes", **wish}, timeout=60)
    assert response.status_code == 200, response.text
    run: dict[str, Any] = response.json()
    return run


def ended(visitor: Visitor, run: dict[str, Any], state: str = "finished") -> dict[str, Any]:
    """Wait for a run to be in a state that nobody works on."""

    def over() -> bool:
        now = visitor.get(f"/api/runs/{run['id']}")
        return now["state"] == state and not now["here"]

    until(over, f"run {run['id']} is {state}", every_s=0.1)
    found: dict[str, Any] = visitor.get(f"/api/runs/{run['id']}")
    return found


def act(visitor: Visitor, run: dict[str, Any], what: str, body: Any = None) -> dict[str, Any]:
    response = visitor.http.post(f"/api/runs/{run['id']}/{what}", json=body, timeout=60)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_folder_is_captioned_as_the_command_line_does(
    home: Home, launch: Callable[..., Page]
) -> None:
    truth = home.scenes(12)
    visitor = launch().visitor()

    run = ended(visitor, begin(visitor))

    assert run["counts"]["done"] == len(truth)
    captions = home.captions()
    assert sum(captions[str(home.sidecar(name))] == text for name, text in truth.items()) >= 11
    assert run["warnings"] == []
    status = json.loads(home.run("queue", "status", str(run["id"]), "--json").out)
    assert (status["state"], status["counts"]["done"]) == ("finished", len(truth))
    until(lambda: all(card["caption"] for card in visitor.images()), "the gallery shows them")


def test_a_selection_is_captioned_again_and_hand_edits_are_kept(
    home: Home, launch: Callable[..., Page]
) -> None:
    home.scenes(4, nested=False)
    home.scripted()
    visitor = launch().visitor()
    first, second, third, _ = visitor.images()
    for image in (first, second):
        assert visitor.write(image, "by hand").status_code == 200
    ended(visitor, begin(visitor, images=[first["id"], third["id"]]))
    assert visitor.image(first["name"])["caption"] == "by hand"

    run = ended(visitor, begin(visitor, images=[first["id"], third["id"]], overwrite="yes"))

    assert run["counts"]["kept"] == 1
    assert (home.pictures / home.sidecar(first["name"])).read_text() == "by hand"
    assert len(home.captions()) == 3

    ended(visitor, begin(visitor, images=[first["id"]], overwrite="all"))

    assert (home.pictures / home.sidecar(first["name"])).read_text().startswith("picture ")
    assert (home.pictures / home.sidecar(second["name"])).read_text() == "by hand"


def test_a_caption_is_added_to_one_that_is_there_and_undo_shows_the_earlier_text(
    home: Home, launch: Callable[..., Page]
) -> None:
    home.scenes(2, nested=False)
    home.scripted(several_lines=True)
    tagged = sorted(home.pictures.glob("*.png"))[0]
    tagged.with_suffix(".txt").write_text("1girl, solo")
    visitor = launch().visitor()
    plan = visitor.http.post("/api/plans", json={"model": "shapes", "add": "after"}).json()

    run = ended(
        visitor,
        begin(visitor, add="after", images=[visitor.image(tagged.name)["id"]], one_line=True),
    )

    assert plan["to_do"] == 2
    assert (run["add"], run["counts"]["done"], run["warnings"]) == ("after", 1, [])
    text = tagged.with_suffix(".txt").read_text()
    assert text.startswith("1girl, solo, picture ")
    assert len(home.captions()) == 1
    until(lambda: visitor.image(tagged.name)["caption"] == text, "the gallery shows it")
    image = visitor.get(f"/api/images/{visitor.image(tagged.name)['id']}")
    assert [entry["text"] for entry in image["history"]][-1] == "1girl, solo"
    back = visitor.http.post(
        f"/api/images/{image['id']}/undo", json={"version": image["version"]}
    ).json()
    assert back["caption"] == "1girl, solo"

    several = ended(visitor, begin(visitor, overwrite="all"))
    assert several["warnings"] == [FIRST_LINE_ONLY]


def test_a_filter_is_captioned_and_nothing_beside_it(
    home: Home, launch: Callable[..., Page]
) -> None:
    home.scenes(6, nested=False)
    home.scripted()
    visitor = launch().visitor()
    name = visitor.images()[2]["name"]

    run = ended(visitor, begin(visitor, shown={"text": name}, overwrite="yes"))

    assert run["counts"]["total"] == 1
    assert list(home.captions()) == [str(home.sidecar(name))]


def test_a_picture_that_is_cut_off_is_captioned_when_it_is_accepted(
    home: Home, launch: Callable[..., Page]
) -> None:
    (name,) = home.scripted().scenes(1, nested=False)
    picture = home.pictures / name
    picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    visitor = launch().visitor()

    refused = ended(visitor, begin(visitor))
    accepted = ended(visitor, begin(visitor, accept_truncated=True))

    (warning,) = accepted["warnings"]
    assert warning.startswith("The built-in model shapes knows drawn scenes")
    assert [(f["code"], f["images"]) for f in refused["failures"]] == [("image_unreadable", 1)]
    assert (refused["accept_truncated"], accepted["accept_truncated"]) == (False, True)
    assert accepted["failures"] == []
    assert list(home.captions()) == [str(home.sidecar(name))]


def test_a_page_goes_on_after_a_run_without_a_caption(
    home: Home, launch: Callable[..., Page]
) -> None:
    home.scripted()
    (home.pictures / "bad.png").write_bytes(b"no image")
    visitor = launch().visitor()

    first = ended(visitor, begin(visitor))
    second = ended(visitor, begin(visitor, overwrite="all"))

    assert [run["counts"]["failed"] for run in (first, second)] == [1, 1]


def test_a_sample_is_tried_and_no_file_is_written(home: Home, launch: Callable[..., Page]) -> None:
    home.scenes(9, nested=False)
    home.scripted()
    visitor = launch().visitor()

    one = begin(visitor, sample=3, save=False, overwrite="all")
    other = begin(visitor, sample=3, save=False, overwrite="all", model="blip")
    found = [visitor.get(f"/api/runs/{ended(visitor, r)['id']}/captions") for r in (one, other)]

    assert home.captions() == {}
    ids = [[caption["id"] for caption in answer["captions"]] for answer in found]
    names = [image["name"] for image in visitor.images() if image["id"] in ids[0]]
    assert ids[0] == ids[1]
    assert names == [visitor.images()[at]["name"] for at in (0, 3, 6)]
    assert all(caption["text"] for caption in found[0]["captions"])


def test_the_plan_tells_the_finished_prompt_and_how_many_images(
    home: Home, launch: Callable[..., Page]
) -> None:
    home.scenes(5, nested=False)
    visitor = launch().visitor()
    visitor.write(visitor.images()[0], "by hand")
    wish = {
        "model": "joycaption",
        "mode": "descriptive",
        "length": "60",
        "options": ["character_name", "keep_pg"],
        "variables": {"name": "Rex"},
    }

    plan = visitor.http.post("/api/plans", json=wish).json()
    again = visitor.http.post("/api/plans", json={**wish, "overwrite": "all"}).json()
    missing = visitor.http.post("/api/plans", json={**wish, "variables": {}})

    assert plan["prompt"] == (
        "Write a detailed description for this image in 60 words or less. If there is a "
        "person/character in the image you must refer to them as Rex. Do NOT include anything "
        "sexual; keep it PG."
    )
    assert (plan["images"], plan["hand"], plan["to_do"], again["to_do"]) == (5, 1, 4, 5)
    assert missing.status_code == 400
    assert "needs a name" in missing.json()["detail"]


def test_the_models_are_told_as_a_worker_tells_them(page: Page, visitor: Visitor) -> None:
    from captiv.catalog import FAMILIES, describe

    found = visitor.get("/api/models")

    told = {model["name"]: model for model in found["models"]}
    assert list(told) == [family.name for family in FAMILIES]
    for family in FAMILIES:
        described = describe(family).model_dump(mode="json")
        assert told[family.name]["variants"] == described["variants"]
        assert list(told[family.name]["options"]) == described["options"]
    assert found["where"] == {
        "first": "local",
        "url": None,
        "runpod": False,
        "key": False,
        "gpu_type": "NVIDIA RTX A4000",
        "fallback": "local",
        "max_cost": None,
    }


def test_an_engine_is_chosen_as_on_the_command_line(
    home: Home, launch: Callable[..., Page]
) -> None:
    home.scripted().scenes(2, nested=False)
    home.env["CAPTIV_SYSTEM_ENGINE"] = "transformers"
    visitor = launch().visitor()

    found = visitor.get("/api/models")
    assert found["engines"] == ["auto", "transformers", "vllm"]
    assert found["chosen"]["engine"] == "transformers"
    assert ended(visitor, begin(visitor, engine="auto"))["engine"] == "auto"
    cannot = visitor.http.post("/api/plans", json={"model": "shapes", "engine": "vllm"})
    assert cannot.status_code == 400
    assert "vLLM" in cannot.json()["detail"]
    unknown = visitor.http.post("/api/plans", json={"model": "shapes", "engine": "vlm"})
    assert unknown.status_code == 400


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"model": "blip", "mode": "no such mode"}, "usage"),
        ({"generation": {"temperature": 99}}, "usage"),
        ({"where": "url"}, "usage"),
        ({"where": "runpod", "max_cost": "much"}, "usage"),
        ({"images": ["0123456789abcdef"]}, "gone"),
        ({"shown": {"folder": "0123456789abcdef"}}, "gone"),
        ({"path": "/etc"}, "usage"),
    ],
)
def test_what_cannot_be_is_refused_and_begins_no_run(
    page: Page, visitor: Visitor, wish: dict[str, Any], code: str
) -> None:
    response = visitor.http.post("/api/runs", json=wish)

    assert response.status_code in (400, 404)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert visitor.get("/api/runs")["runs"] == []


def test_a_run_without_a_key_says_so(home: Home, pictures: Path, launch: Any) -> None:
    visitor = launch("--runpod").visitor()

    assert visitor.get("/api/models")["where"]["first"] == "runpod"
    wish = {"model": "shapes", "where": "runpod", "fallback": "fail"}
    refused = visitor.http.post("/api/runs", json=wish, timeout=60)

    assert refused.status_code == 409
    assert "no RunPod API key" in refused.json()["detail"]
    assert visitor.get("/api/runs")["runs"] == [], "it was not made"


def test_failures_are_told_by_reason_and_tried_again(
    home: Home, launch: Callable[..., Page], tmp_path: Path
) -> None:
    home.scenes(4, nested=False)
    broken = home.pictures / "broken.png"
    whole = next(home.pictures.glob("*.png")).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    home.scripted()
    visitor = launch().visitor()
    run = ended(visitor, begin(visitor))

    (group,) = run["failures"]
    assert (group["code"], group["images"]) == ("image_unreadable", 1)
    assert group["named"][0]["id"] == visitor.image("broken.png")["id"]
    assert (run["counts"]["done"], run["counts"]["failed"]) == (4, 1)

    broken.write_bytes(whole)
    again = act(visitor, run, "retry", {"code": group["code"]})

    assert again["id"] == run["id"]
    assert ended(visitor, run)["counts"]["done"] == 5
    refused = visitor.http.post(f"/api/runs/{run['id']}/retry", json={})
    assert refused.status_code == 400
    assert "nothing to be tried again" in refused.json()["detail"]


def test_a_run_that_nobody_watched_has_its_pace_all_the_same(
    home: Home, launch: Callable[..., Page]
) -> None:
    home.scenes(30, nested=False)
    home.scripted(per_image_s=0.05)
    assert home.generate().code == 0

    visitor = launch().visitor()
    (run,) = visitor.get("/api/runs")["runs"]
    pace = visitor.get(f"/api/runs/{run['id']}")["pace"]

    assert pace[-1][1] - pace[0][1] == 30
    assert [ended for _, ended in pace] == sorted(ended for _, ended in pace)
    assert run["created_ms"] < pace[-1][0] + 1_000 <= run["finished_ms"] + 1_000


def test_a_run_is_paused_and_gone_on_with(home: Home, launch: Callable[..., Page]) -> None:
    hold = home.held()
    home.scenes(300, nested=False)
    home.scripted(hold=str(hold), hold_after=1)
    visitor = launch().visitor()
    run = begin(visitor)
    until(lambda: visitor.get(f"/api/runs/{run['id']}")["counts"]["done"] > 0, every_s=0.1)

    assert act(visitor, run, "pause")["pausing"]
    hold.unlink()
    rests = ended(visitor, run, "unfinished")

    assert 0 < rests["counts"]["open"] < 300
    assert rests["counts"]["running"] == 0
    assert len(home.captions()) == rests["counts"]["done"]
    hold.touch()
    act(visitor, run, "resume")
    until(lambda: visitor.get(f"/api/runs/{run['id']}")["counts"]["running"] > 0, every_s=0.1)
    assert visitor.get(f"/api/runs/{run['id']}")["state"] == "running"
    act(visitor, run, "cancel")
    hold.unlink()
    over = ended(visitor, run, "cancelled")
    assert over["counts"]["cancelled"] > 0
    assert over["counts"]["open"] == 0
    assert visitor.http.post(f"/api/runs/{run['id']}/cancel").status_code == 400


def test_a_run_of_another_captiv_is_told_live(home: Home, launch: Callable[..., Page]) -> None:
    hold = home.held()
    home.scenes(3, nested=False)
    home.scripted(hold=str(hold))
    visitor = launch().visitor()

    with visitor.live() as socket:
        elsewhere = home.start_generate()
        run = _next(socket, lambda run: run["state"] == "running")
        assert (run["here"], run["model"], run["counts"]["done"]) == (False, "shapes", 0)
        hold.unlink()
        done = _next(socket, lambda run: run["state"] == "finished")
        assert done["counts"]["done"] == 3
    assert finish(elsewhere).code == 0


def test_two_runs_at_once_are_both_done(home: Home, launch: Callable[..., Page]) -> None:
    home.scenes(6, nested=False)
    home.scripted()
    visitor = launch().visitor()
    ids = [image["id"] for image in visitor.images()]

    one, other = begin(visitor, images=ids[:3]), begin(visitor, images=ids[3:])

    assert ended(visitor, one)["counts"]["done"] == ended(visitor, other)["counts"]["done"] == 3
    assert len(home.captions()) == 6


def test_the_page_ends_when_its_run_has_finished_what_is_at_the_worker(
    home: Home, launch: Callable[..., Page]
) -> None:
    hold, begun = home.held(), home.folder / "begun"
    home.scenes(300, nested=False)
    home.scripted(hold=str(hold), touch=str(begun))
    page = launch()
    run = begin(page.visitor())
    until(begun.exists, "a batch", every_s=0.1)

    page.process.send_signal(signal.SIGINT)
    page.says("finishing what is at the worker")
    hold.unlink()
    end = finish(page.process)

    assert end.code == 0, end
    status = json.loads(home.run("queue", "status", str(run["id"]), "--json").out)
    assert status["state"] == "unfinished"
    assert status["counts"]["running"] == status["counts"]["captioned"] == 0
    assert status["counts"]["done"] == len(home.captions()) > 0
    assert home.workers() == []


def test_a_second_signal_ends_the_page_at_once(home: Home, launch: Callable[..., Page]) -> None:
    hold = home.held()
    home.scenes(3, nested=False)
    home.scripted(hold=str(hold))
    page = launch()
    run = begin(page.visitor())
    until(lambda: page.visitor().get(f"/api/runs/{run['id']}")["counts"]["running"] > 0)

    page.process.send_signal(signal.SIGINT)
    page.says("finishing what is at the worker")
    page.process.send_signal(signal.SIGINT)
    end = finish(page.process)

    assert end.code == 0, end
    assert "Traceback" not in end.err
    assert home.captions() == {}
    until(lambda: home.workers() == [], "the worker is gone")


def _next(socket: Any, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first run that is told and of which something holds."""
    while True:
        message = json.loads(socket.recv(timeout=60))
        if message["topic"] != "runs":
            continue
        for run in message["value"]["runs"]:
            if holds(run):
                found: dict[str, Any] = run
                return found
