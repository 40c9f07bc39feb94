"""Who may ask what, and how a worker tells how it is."""

import json
from pathlib import Path

import httpx2
import pytest

from captiv.catalog import FAMILIES
from captiv.cli import main
from captiv.wire import PROBLEM_TYPE, Health, ModelsReply, ModesReply

from .conftest import DEADLINE_S, TOKEN, Hold, Serve, picture, until


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/api/models", "/api/modes/blip", "/api/caption/key", "/else"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \xe4"},
    ],
)
def test_without_the_token_nothing_but_health_is_told(
    serve: Serve, path: str, given: dict[str, str]
) -> None:
    served = serve()
    headers = [(n.encode(), value.encode("latin-1")) for n, value in given.items()]

    answer = httpx2.get(served.url + path, headers=headers, timeout=DEADLINE_S)

    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["captiv-worker"] == served.worker.boot_id


@pytest.mark.slow
def test_without_the_token_a_body_is_not_read(serve: Serve) -> None:
    served = serve()

    answer = httpx2.post(served.url + "/api/caption", content=picture(), timeout=DEADLINE_S)

    assert answer.status_code == 401
    assert served.worker.permits.taken == 0


def test_health_is_open_and_tells_what_is_loaded(serve: Serve) -> None:
    served = serve(name="w7", max_batch=5)

    answer = httpx2.get(served.url + "/health", timeout=DEADLINE_S)

    assert answer.status_code == 200
    health = Health.model_validate(answer.json())
    assert health.status == "ready"
    assert (health.worker, health.boot_id) == ("w7", served.worker.boot_id)
    assert (health.model, health.variant) == ("blip", "blip-large")
    assert (health.max_batch, health.permits) == (5, 15)


def test_a_loading_worker_says_so_and_captions_later(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.load, ready=False)

    answer = httpx2.get(served.url + "/health", timeout=DEADLINE_S)
    refused = served.caption(picture())

    assert answer.status_code == 503
    assert answer.json()["status"] == "loading"
    assert answer.json()["loading"]["phase"]
    assert refused.status_code == 503
    assert refused.json()["code"] == "not_ready"
    assert int(refused.headers["retry-after"]) >= 1
    hold.release()
    until(lambda: served.client.get("/health").status_code == 200)
    assert served.caption(picture()).status_code == 200


def test_a_failed_load_is_told_with_what_to_do(serve: Serve) -> None:
    served = serve(script={"fail_load": "The model is not there. Fetch it."})

    health = served.client.get("/health")
    refused = served.caption(picture())

    assert health.status_code == 503
    assert health.json()["status"] == "failed"
    assert health.json()["code"] == "model_unavailable"
    assert health.json()["reason"] == "The model is not there. Fetch it."
    assert refused.status_code == 503
    assert refused.json()["code"] == "model_unavailable"


def test_an_engine_that_is_not_there_is_a_failed_load(serve: Serve) -> None:
    served = serve(engine="no.such.module:Engine")

    reason = served.client.get("/health").json()["reason"]

    assert "no.such.module:Engine" in reason
    assert "PYTHONPATH" in reason


def test_models_tell_the_catalog_and_what_is_loaded(serve: Serve) -> None:
    served = serve(model="shapes")

    reply = ModelsReply.model_validate(served.client.get("/api/models").json())

    assert (reply.loaded, reply.loaded_variant) == ("shapes", "shapes")
    assert {model.name for model in reply.models} >= {"blip", "shapes"}


def test_a_worker_and_the_command_line_tell_the_same_of_every_family(
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CAPTIV_HOME", str(tmp_path / "home"))
    served = serve()
    models = served.client.get("/api/models").json()["models"]
    assert [model["name"] for model in models] == [family.name for family in FAMILIES]
    for model in models:
        modes = served.client.get(f"/api/modes/{model['name']}").json()
        assert main(["model", "show", model["name"], "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)

        assert shown.pop("variant") == model["default_variant"]
        assert shown["modes"] == modes["modes"]
        assert shown["options"] == modes["options"]
        assert list(dict.fromkeys(m["name"] for m in modes["modes"])) == model["modes"]
        assert list(modes["options"]) == model["options"]
        told = model | modes
        assert told.pop("model") == model["name"]
        assert shown == told


@pytest.mark.slow
def test_a_variant_has_modes_of_its_own(serve: Serve) -> None:
    reply = serve().client.get("/api/modes/kosmos-2.5").json()

    assert [mode["prompt"] for mode in reply["modes"] if mode["name"] == "default"] == ["<md>"]


def test_modes_tell_the_prompts_of_a_family(serve: Serve) -> None:
    served = serve()

    reply = ModesReply.model_validate(served.client.get("/api/modes/blip").json())

    assert {mode.name for mode in reply.modes} >= {"default", "photo"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/modes/no-such", 404, "not_found"),
        ("GET", "/no-such", 404, "not_found"),
        ("DELETE", "/api/caption", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_and_never_an_unknown_key(
    serve: Serve, method: str, path: str, status: int, code: str
) -> None:
    served = serve()

    answer = served.client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM_TYPE
    assert answer.json()["code"] == code
    assert answer.headers["captiv-worker"] == served.worker.boot_id


def test_a_defect_is_answered_without_its_details(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()
    setattr(served.worker.permits, "total", None)  # noqa: B010 -- a defect, on purpose

    answer = served.caption(picture())

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "TypeError" not in answer.text
    assert "TypeError" in caplog.text
    assert answer.headers["captiv-worker"] == served.worker.boot_id


def test_a_worker_without_a_token_lets_everybody_in(serve: Serve) -> None:
    served = serve(token_sha256=None)

    answer = httpx2.post(
        served.url + "/api/caption",
        content=picture(),
        headers={"Content-Type": "image/png"},
        timeout=DEADLINE_S,
    )

    assert answer.status_code == 200
