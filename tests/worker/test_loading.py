"""One model takes the place of another, and only while nobody waits for a caption."""

import gc
import weakref
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from PIL import Image

from captiv.errors import ModelError
from captiv.testing.scenes import write_scenes
from captiv.wire import Generation

from .conftest import Hold, Serve, Served, picture, until


def load(served: Served, model: str, **change: Any) -> httpx2.Response:
    return served.client.put("/api/model", json={"model": model, **change})


def settled(served: Served) -> dict[str, Any]:
    """Return the health of a worker that loads no more."""
    until(lambda: served.client.get("/health").json()["status"] != "loading")
    return dict(served.client.get("/health").json())


@pytest.mark.slow
def test_another_model_is_loaded_and_captions(serve: Serve, hold: Hold) -> None:
    hold.release()
    served = serve(script=hold.load)
    hold.again()

    answer = load(served, "blip", variant="blip-base", max_batch=3)

    assert answer.status_code == 202
    assert answer.json()["status"] == "loading"
    assert served.caption(picture()).json()["code"] == "not_ready"
    hold.release()
    health = settled(served)
    assert (health["status"], health["variant"]) == ("ready", "blip-base")
    assert (health["max_batch"], health["permits"]) == (3, 9)
    assert health["boot_id"] == served.worker.boot_id
    assert served.caption(picture(), variant="blip-base").json()["variant"] == "blip-base"
    assert served.caption(picture(), variant="blip-large").json()["code"] == "worker_mismatch"


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"model": "blip"},
        {"model": "blip-large"},
        {"model": "blip", "variant": "blip-large", "dtype": "auto"},
    ],
)
def test_the_model_that_is_loaded_is_not_loaded_again(serve: Serve, change: dict[str, str]) -> None:
    served = serve()
    permits = served.worker.permits.total

    answer = load(served, **change)

    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert served.worker.permits.total == permits


@pytest.mark.slow
def test_while_one_is_loading_it_is_joined_and_another_has_to_wait(
    serve: Serve, hold: Hold
) -> None:
    hold.release()
    served = serve(script=hold.load)
    hold.again()
    first = load(served, "blip-base")

    same = load(served, "blip-base")
    other = load(served, "blip-large")
    hold.release()

    assert (first.status_code, same.status_code, other.status_code) == (202, 202, 409)
    assert other.json()["code"] == "worker_busy"
    assert settled(served)["variant"] == "blip-base"


@pytest.mark.slow
def test_captions_in_flight_are_not_disturbed(serve: Serve, hold: Hold) -> None:
    served = serve(script=hold.script)
    served.caption(picture(), key="k1", wait=0)
    hold.wait()

    refused = load(served, "blip-base")
    hold.release()

    assert refused.status_code == 409
    assert refused.json()["code"] == "worker_busy"
    assert int(refused.headers["retry-after"]) >= 1
    assert served.again("k1").json()["variant"] == "blip-large"
    until(lambda: served.worker.permits.taken == 0)
    assert load(served, "blip-base").status_code == 202


@pytest.mark.slow
def test_what_was_captioned_before_can_still_be_asked_for(serve: Serve) -> None:
    served = serve()
    served.caption(picture(), key="k1")
    load(served, "blip-base")
    settled(served)

    assert served.again("k1").json()["variant"] == "blip-large"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "isn't JSON"),
        (b"[]", 422, "JSON object with: model"),
        (b"{}", 422, "model"),
        (b'{"model": "blip", "size": 3}', 422, "no field 'size'"),
        (b'{"model": "blip", "max_batch": 0}', 422, "max_batch"),
        (b'{"model": "blip", "dtype": "float3"}', 422, "dtype is one of auto, float32"),
        (b'{"model": "' + b"x" * 70_000 + b'"}', 413, "64 kB"),
    ],
)
def test_a_wrong_change_changes_nothing(serve: Serve, body: bytes, status: int, says: str) -> None:
    served = serve()

    answer = served.client.put("/api/model", content=body)

    assert answer.status_code == status
    assert answer.json()["code"] == "invalid_request"
    assert says in answer.json()["detail"]
    assert served.client.get("/health").status_code == 200


def test_names_that_contradict_each_other_are_refused_before_anything_is_dropped(
    serve: Serve,
) -> None:
    served = serve(engine="auto", engine_options={}, model="shapes")

    answer = load(served, "blip", variant="shapes")

    assert answer.status_code == 422
    assert "no variant" in answer.json()["detail"]
    assert served.client.get("/health").json()["model"] == "shapes"


def test_a_worker_without_a_guard_says_so(serve: Serve) -> None:
    answer = serve().client.put("/api/guard", json={"idle_s": 60})

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


class Picky:
    """An engine that knows how many of its kind lived when it was built."""

    alive: ClassVar["weakref.WeakSet[Picky]"] = weakref.WeakSet()
    fail: ClassVar[bool] = False

    def __init__(self) -> None:
        self.alive.add(self)
        self.count = len(self.alive)
        self.circle = self

    def load(self) -> None:
        if self.fail:
            raise ModelError(f"One of {self.count} (scripted).")

    def caption(
        self, images: list[Image.Image], _prompt: str | None, _generation: Generation
    ) -> list[str]:
        return [f"one of {self.count}"] * len(images)


@pytest.mark.slow
def test_the_old_engine_is_gone_before_the_new_one_is_built(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.disable()
    try:
        served = serve(engine=f"{__name__}:Picky")
        for fails, variant in ((False, "blip-base"), (True, "blip-large"), (False, "blip-base")):
            monkeypatch.setattr(Picky, "fail", fails)
            until(lambda: served.worker.permits.taken == 0)
            assert load(served, "blip", variant=variant).status_code == 202
            health = settled(served)
            if fails:
                assert health["reason"] == "One of 1 (scripted)."
            else:
                assert served.caption(picture()).json()["caption"] == "one of 1"
    finally:
        gc.enable()


class Heavy(Picky):
    """An engine for which there is no memory, when it is loaded or when it first captions."""

    alive: ClassVar["weakref.WeakSet[Picky]"] = weakref.WeakSet()
    at_caption: ClassVar[bool] = False

    def load(self) -> None:
        if not self.at_caption:
            raise MemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    def caption(self, *_: object) -> list[str]:
        raise MemoryError("CUDA out of memory. Tried to allocate 20 GiB.")


@pytest.mark.parametrize("at_caption", [False, True])
def test_a_model_for_which_there_is_no_memory_says_so_with_what_to_do(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, at_caption: bool
) -> None:
    monkeypatch.setattr(Heavy, "at_caption", at_caption)

    health = settled(serve(engine=f"{__name__}:Heavy", ready=False))

    assert health["status"] == "failed"
    assert "does not run on this device: CUDA out of memory" in health["reason"]
    assert "8bit" in health["reason"]


@pytest.mark.slow
def test_real_weights_are_replaced_and_a_failed_load_can_be_mended(
    serve: Serve, tmp_path: Path
) -> None:
    truth = write_scenes(tmp_path / "scenes", 7, 4)
    images = {name: (tmp_path / "scenes" / name).read_bytes() for name in truth}
    served = serve(engine="auto", engine_options={}, model="shapes")
    before = {name: served.caption(image).json()["caption"] for name, image in images.items()}
    until(lambda: served.worker.permits.taken == 0)

    assert load(served, str(tmp_path / "nothing")).status_code == 202
    health = settled(served)
    assert (health["status"], health["code"]) == ("failed", "model_unavailable")
    assert health["model"] is None
    assert served.caption(picture()).json()["code"] == "model_unavailable"
    assert served.client.get("/api/models").json()["loaded"] is None

    assert load(served, "shapes", dtype="float32", max_batch=2).status_code == 202
    health = settled(served)
    assert (health["status"], health["reason"], health["max_batch"]) == ("ready", None, 2)
    after = {name: served.caption(image).json()["caption"] for name, image in images.items()}
    assert before == after == truth
    assert load(served, "shapes").status_code == 200
    assert load(served, "shapes", dtype="float32", max_batch=2).status_code == 200
