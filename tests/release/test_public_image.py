"""The release pulls what it has published as a pod would: by digest, without credentials."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT

JOBS: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
DIGEST = "sha256:" + "5" * 64
IMAGE = f"ghcr.io/somebody/captiv-worker@{DIGEST}"

DOCKER = """\
#!/bin/sh
echo "$@" >> "$CALLS"
ls -A "${DOCKER_CONFIG:-$HOME/.docker}" > "$CONFIG"
exit "$CODE"
"""


@pytest.fixture
def pull(tmp_path: Path) -> Any:
    """Run the script over a `docker` that ends with a code and tells how it was called."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    login = tmp_path / ".docker"
    login.mkdir()
    (login / "config.json").write_text(json.dumps({"auths": {"ghcr.io": {"auth": "c2VjcmV0"}}}))

    def run(image: str, code: int = 0) -> tuple[subprocess.CompletedProcess[str], Path]:
        env = {name: value for name, value in os.environ.items() if name != "DOCKER_CONFIG"} | {
            "PATH": f"{docker.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "CALLS": str(tmp_path / "calls"),
            "CONFIG": str(tmp_path / "config"),
            "CODE": str(code),
        }
        done = subprocess.run(
            ["bash", str(ROOT / "scripts" / "pull-public"), image],
            capture_output=True,
            text=True,
            check=False,
            env=env,
        )
        return done, tmp_path

    return run


def test_the_image_is_pulled_by_its_digest_and_no_login_is_used(pull: Any) -> None:
    done, told = pull(IMAGE)

    assert done.returncode == 0, done
    assert (told / "calls").read_text() == f"pull --quiet {IMAGE}\n"
    assert (told / "config").read_text() == ""


def test_an_image_that_is_not_public_fails_and_says_what_to_do(pull: Any) -> None:
    done, _ = pull(IMAGE, code=1)

    assert done.returncode == 1
    assert "make its package public" in done.stderr


@pytest.mark.parametrize("image", ["", "ghcr.io/somebody/captiv-worker:1", "x@sha256:12"])
def test_an_image_without_its_digest_is_refused(pull: Any, image: str) -> None:
    done, told = pull(image)

    assert done.returncode == 1
    assert not (told / "calls").exists()


def test_every_image_that_is_pushed_is_pulled_by_a_job_that_has_not_logged_in() -> None:
    pushed, public = JOBS["image"], JOBS["public"]
    tags = [row["tag"] for row in pushed["strategy"]["matrix"]["include"]]
    said = json.dumps(public)

    assert public["needs"] == "image"
    assert public["permissions"] == {"contents": "read"}
    assert public["strategy"]["matrix"]["tag"] == tags
    assert pushed["outputs"] == {tag: f"${{{{ steps.push.outputs.{tag} }}}}" for tag in tags}
    assert "secrets." not in said
    assert "login" not in said
