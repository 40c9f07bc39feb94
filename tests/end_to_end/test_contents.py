"""What runs in a pod: a template's settings, or RunPod's own image into which pip puts captiv."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from captiv.testing.cloud import Pod, running
from tests.cases import sampled
from tests.support import Home, until

from .test_rented import calls, generate, rented

pytestmark = [pytest.mark.timeout(300), pytest.mark.allow_blocking]

TEMPLATE = {
    "image": "captiv/worker:theirs",
    "disk": 77,
    "env": {"THEIRS": "kept", "CAPTIV_GUARD_IDLE_S": "1"},
    "ports": ["22/tcp"],
    "args": "--model blip",
}
SERVERLESS = {"image": "captiv/worker:theirs", "serverless": True}
TEMPLATES = {"t1": TEMPLATE, "t2": SERVERLESS}


def env_of(pod: Pod) -> dict[str, str]:
    return dict(pod.recipe().env)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder as pods would find a wheel."""
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.slow
def test_a_template_gives_image_environment_and_disk(home: Home) -> None:
    home.scenes(5)
    with rented(home, templates=TEMPLATES) as cloud:
        home.env["CAPTIV_RUNPOD_TEMPLATE_ID"] = "t1"
        ended = generate(home, "--fallback", "fail")
        (pod,) = cloud.pods()

    assert ended.code == 0, ended
    assert len(home.captions()) == 5
    assert (pod.asked.image, pod.asked.disk) == ("captiv/worker:theirs", 77)
    assert pod.declared == ["22/tcp", "8000/http"]
    assert env_of(pod)["THEIRS"] == "kept"
    assert env_of(pod)["CAPTIV_GUARD_IDLE_S"] == "900", "captiv's own settings go before theirs"
    assert "CAPTIV_WORKER_TOKEN_SHA256" in env_of(pod)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "words"), sampled(("nobodys", "knows no template nobodys"), ("t2", "serverless"))
)
def test_a_template_that_makes_no_pod_is_named_before_anything_is_rented(
    home: Home, template: str, words: str
) -> None:
    home.scenes(2)
    with rented(home, templates=TEMPLATES) as cloud:
        home.env["CAPTIV_RUNPOD_TEMPLATE_ID"] = template
        ended = generate(home, "--fallback", "fail")
        dry = generate(home, "--dry-run")

    assert ended.code != 0
    assert words in ended.err
    assert "runpod.template_id" in ended.err
    assert words in dry.out
    assert calls(cloud, "POST") == 0


@pytest.mark.slow
def test_a_pod_made_by_hand_takes_a_template_and_what_is_given_besides(home: Home) -> None:
    with rented(home, templates=TEMPLATES) as cloud:
        create = ("runpod", "create", "--model", "shapes", "--template-id", "t1", "--no-wait")
        first = home.run(*create)
        second = home.run(*create, "--disk", "33", "--image", "captiv/worker:mine")
        pods = cloud.pods()
        for pod in pods:
            home.run("runpod", "terminate", pod.id, "--yes")

    assert (first.code, second.code) == (0, 0), (first, second)
    assert [(pod.asked.image, pod.asked.disk) for pod in pods] == [
        ("captiv/worker:theirs", 77),
        ("captiv/worker:mine", 33),
    ]
    assert [env_of(pod)["THEIRS"] for pod in pods] == ["kept", "kept"]


@pytest.mark.slow
def test_with_nothing_that_a_pod_could_run_it_says_so_and_rents_nothing(home: Home) -> None:
    home.scenes(2)
    with rented(home) as cloud:
        del home.env["CAPTIV_RUNPOD_IMAGE"]
        home.env["CAPTIV_RUNPOD_BOOTSTRAP"] = "image"
        ended = generate(home, "--fallback", "fail")
        home.env |= {
            "CAPTIV_RUNPOD_BOOTSTRAP": "pip",
            "CAPTIV_RUNPOD_PACKAGE": f"{cloud.api_url}/no/captiv-9-py3-none-any.whl",
        }
        missing = generate(home, "--fallback", "fail")

    assert ended.code != 0
    assert "There is nothing that a pod could run" in ended.err
    assert "unset runpod.bootstrap" in ended.err
    assert missing.code != 0
    assert "captiv-9-py3-none-any.whl is not there" in missing.err
    assert calls(cloud, "POST") == 0
    assert cloud.bill() == 0


@pytest.mark.chaos
def test_a_pod_of_runpods_own_image_installs_captiv_and_captions(home: Home, wheel: Path) -> None:
    """The image's torch is that of this environment, linked into the pod; captiv is not there."""
    truth = home.scenes(40)
    with served(wheel.parent) as shelf, running() as cloud:
        home.env |= dict(cloud.environment) | {
            "CAPTIV_RUNPOD_BOOTSTRAP": "pip",
            "CAPTIV_RUNPOD_PACKAGE": f"{shelf}/{wheel.name}",
        }
        ended = generate(home, "--fallback", "fail", "--verbose", timeout=280)
        (pod,) = cloud.pods()
        log = "\n".join(pod.log.texts())

    captions = home.captions()
    right = sum(captions[str(home.sidecar(name))] == text for name, text in truth.items())
    assert ended.code == 0, ended
    assert (pod.asked.image or "").startswith("runpod/pytorch:")
    assert f"bootstrap installing captiv[local] @ {shelf}/{wheel.name}" in log
    assert "Successfully installed captiv-" in log
    assert right / len(truth) >= 0.95
    assert cloud.pods_alive() == []


@pytest.mark.slow
def test_a_pod_in_which_pip_fails_ends_itself_though_nobody_watches(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "captiv-1-py3-none-any.whl").write_bytes(b"no wheel")
    with served(tmp_path / "shelf") as shelf, running() as cloud:
        home.env |= dict(cloud.environment) | {
            "CAPTIV_RUNPOD_BOOTSTRAP": "pip",
            "CAPTIV_RUNPOD_PACKAGE": f"{shelf}/captiv-1-py3-none-any.whl",
        }
        made = home.run("runpod", "create", "--model", "shapes", "--no-wait")
        (pod,) = cloud.pods()
        until(lambda: cloud.pods_alive() == [], "the pod's own end", within_s=200)
        log = "\n".join(pod.log.texts("container"))

    assert made.code == 0, made
    assert log.count("bootstrap installing") == 3, log
    assert pod.lives == 1, "RunPod had to start the container again"
    assert pod.key not in log
