"""Work is named by its key: joined, kept, asked for again, and never computed twice."""

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
from captiv_worker.work import KEEP_S

from .conftest import AUTH, DEADLINE_S, Clock, Hold, Serve, picture, until


def captions(caplog: pytest.LogCaptureFixture, key: str) -> int:
    return sum(record.getMessage().startswith(f"caption key={key} ") for record in caplog.records)


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_the_same_key_is_computed_once(
    serve: Serve, hold: Hold, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(script=hold.script)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.caption, picture(), key="k1")
        hold.wait()
        second = pool.submit(served.caption, picture(), key="k1")
        hold.release()

    assert first.result().json() == second.result().json()
    assert served.caption(picture(), key="k1").json() == first.result().json()
    assert captions(caplog, "k1") == 1
    assert served.worker.permits.taken == 0


def test_a_key_with_other_content_is_refused(serve: Serve) -> None:
    served = serve()
    served.caption(picture("red"), key="k1")

    for answer in (
        served.caption(picture("blue"), key="k1"),
        served.caption(picture("red"), key="k1", prompt="another"),
    ):
        assert answer.status_code == 422
        assert answer.json()["code"] == "key_reused"


def test_work_that_takes_longer_than_the_client_waits_is_asked_for_again(
    serve: Serve, hold: Hold
) -> None:
    served = serve(script=hold.script)

    early = served.caption(picture(), key="a/b c".replace(" ", "_"), wait=0)
    still = served.again("a%2Fb_c", wait=0)
    hold.release()
    done = served.client.get(early.headers["location"], headers={"Prefer": "wait=30"})

    assert early.status_code == still.status_code == 202
    assert early.headers["location"] == "/api/caption/a%2Fb_c"
    assert early.headers["preference-applied"] == "wait=0"
    assert done.status_code == 200
    assert done.json()["key"] == "a/b_c"


def test_work_without_a_key_is_given_one(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script)

    early = served.caption(picture(), wait=0)
    hold.release()
    done = served.client.get(early.headers["location"], headers={"Prefer": "wait=30"})

    assert done.json()["key"] == early.json()["key"]


def test_asking_again_does_not_wait_unless_told_to(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script)
    served.caption(picture(), key="k1", wait=0)

    assert served.client.get("/api/caption/k1").status_code == 202


def test_keyed_work_survives_its_client(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script)
    host, port = served.url.removeprefix("http://").split(":")

    impatient = HTTPConnection(host, int(port), timeout=DEADLINE_S)
    impatient.request("POST", "/api/caption", picture(), {**AUTH, "Idempotency-Key": "k1"})
    hold.wait()
    impatient.close()
    hold.release()

    assert served.again("k1").status_code == 200


def test_an_unknown_key_is_told_by_its_code(serve: Serve) -> None:
    answer = serve().again("never-seen", wait=0)

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_key"
    assert answer.json()["suspect"] is False


def test_results_are_forgotten_after_their_time(serve: Serve) -> None:
    clock = Clock()
    served = serve(clock=clock)
    served.caption(picture(), key="k1")

    assert served.again("k1").status_code == 200
    clock.now_s += KEEP_S + 1
    assert served.again("k1").json()["code"] == "unknown_key"


def test_a_problem_of_the_image_is_kept_under_its_key(serve: Serve) -> None:
    served = serve(script={"refuse_on": ["red"]})

    first = served.caption(picture("red"), key="k1")
    again = served.again("k1")

    assert first.status_code == again.status_code == 422
    assert first.json() == again.json()
    assert first.json()["code"] == "image_unreadable"


def test_a_problem_of_the_engine_is_computed_again(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(script={"fail_on": ["red"]})

    first = served.caption(picture("red"), key="k1")
    told = served.again("k1")
    second = served.caption(picture("red"), key="k1")

    assert first.status_code == told.status_code == second.status_code == 500
    assert first.json()["code"] == "engine_failed"
    failed = [r for r in caplog.records if r.getMessage().startswith("failed key=k1 ")]
    until(lambda: served.worker.permits.taken == 0)
    assert len(failed) == 2


def test_every_answer_about_an_image_repeats_its_key(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script | {"refuse_on": ["blue"]})
    running = served.caption(picture(), key="k1", wait=0)
    reused = served.caption(picture("green"), key="k1")
    hold.release()
    answers = {
        "running": running,
        "reused": reused,
        "caption": served.again("k1"),
        "problem": served.caption(picture("blue"), key="k1-blue"),
        "problem, again": served.again("k1-blue"),
        "unreadable": served.caption(b"no image", key="k1-none"),
        "unknown": served.again("k1-unknown"),
    }

    assert {name: answer.json()["key"] for name, answer in answers.items()} == {
        "running": "k1",
        "reused": "k1",
        "caption": "k1",
        "problem": "k1-blue",
        "problem, again": "k1-blue",
        "unreadable": "k1-none",
        "unknown": "k1-unknown",
    }
    assert answers["caption"].json()["boot_id"] == answers["caption"].headers["captiv-worker"]


def test_a_problem_that_is_about_no_work_has_no_key(serve: Serve) -> None:
    answer = serve().client.get("/api/nowhere")

    assert (answer.status_code, answer.json()["key"]) == (404, None)
