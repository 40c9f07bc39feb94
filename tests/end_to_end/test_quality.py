"""One quality a run: the one that it began with, whatever the settings say by then."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from PIL import Image, ImageChops
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from captiv.catalog import choose
from captiv.catalog.model import ImageQuality
from captiv.core.jobs import RunId
from captiv.images.prepare import prepare
from captiv.store import Store, runs
from tests.serving import serving, started_by_hand
from tests.support import Home, finish, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

TOKEN = "a-token-of-the-tests"
PICTURES = 12


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    for n in range(PICTURES):
        plain = Image.new("RGB", (360, 300), (20 * n, 90, 200 - 10 * n))
        noisy = ImageChops.add(plain, Image.effect_noise(plain.size, 60).convert("RGB"), 2)
        noisy.save(home.pictures / f"{n:02}.jpg", quality=97)
    return home


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def as_prepared(home: Home, quality: ImageQuality) -> set[str]:
    """Return the digests of what each picture is in that quality."""
    choice = choose("shapes")
    assert choice is not None
    policy = choice.family.image_of(choice.variant.name)
    files = [path.read_bytes() for path in home.pictures.glob("*.jpg")]
    return {digest(prepare(data, policy, quality=quality).data) for data in files}


@contextmanager
def listened(url: str, sent: dict[str, list[str]]) -> Iterator[str]:
    """Stand before a worker, and note the digest of each picture that is sent, by its key."""

    async def forward(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:  # captiv was killed
            return Response(status_code=400)
        key = request.headers.get("idempotency-key")
        if key is not None and body:
            sent[key].append(digest(body))
        headers = {k: v for k, v in request.headers.items() if k not in ("host", "content-length")}
        async with httpx2.AsyncClient(timeout=120) as client:
            target = f"{url}{request.url.path}"
            reply = await client.request(
                request.method, target, content=body, headers=headers, params=request.query_params
            )
        gone = ("content-length", "transfer-encoding", "connection", "content-encoding")
        told = {k: v for k, v in reply.headers.items() if k not in gone}
        return Response(reply.content, reply.status_code, told)

    with serving(forward) as before:
        yield before


def test_a_run_that_was_killed_goes_on_in_the_quality_of_its_row(home: Home) -> None:
    sent: dict[str, list[str]] = defaultdict(list)
    low, high = as_prepared(home, "low"), as_prepared(home, "high")
    assert low.isdisjoint(high)
    hold = home.held()
    script = {"hold": str(hold), "hold_after": 2}
    worker = ("--model", "shapes", "--max-batch", "2")
    home.env["CAPTIV_WORKER_TOKEN"] = TOKEN
    with started_by_hand(home, TOKEN, *worker, script=script) as url, listened(url, sent) as via:
        first = home.start_generate("--worker", via, CAPTIV_IMAGES_QUALITY="low")
        until(lambda: len(home.captions()) >= 2 and len(sent) > 4, "some wait at the worker")
        first.kill()
        finish(first)
        once = {key for key, bodies in sent.items() if bodies}
        hold.unlink()
        second = home.generate("--worker", via, CAPTIV_IMAGES_QUALITY="high")
        before = {key: list(bodies) for key, bodies in sent.items()}
        third = home.generate("--worker", via, "--overwrite", CAPTIV_IMAGES_QUALITY="high")

    assert second.code == 0, second
    assert third.code == 0, third
    assert "Going on with run 1" in second.err
    assert len(home.captions()) == PICTURES
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        assert store.read(runs.get, RunId(1)).spec.image_quality == "low"
    assert {body for bodies in before.values() for body in bodies} == low
    assert all(len(set(bodies)) == 1 for bodies in sent.values()), "a key has named two bodies"
    assert any(len(sent[key]) > 1 for key in once), "nothing was sent again after the crash"
    new = {body for key, bodies in sent.items() if key not in before for body in bodies}
    assert new == high, "the next run has the quality of the settings"
