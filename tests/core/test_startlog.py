"""What is read out of the log of a pod that starts."""

import pytest

from captiv.core.startlog import StartLog

START = "start container for captiv/worker:1: begin"
NOT_FOUND = "error pulling image: manifest for captiv/worker:9 not found"


def heard(*lines: tuple[str, str]) -> StartLog:
    log = StartLog()
    for second, (source, text) in enumerate(lines):
        log.hear(source, text, float(second))
    return log


@pytest.mark.parametrize(
    "text",
    [
        "a3ed95caeb02 Pulling fs layer",
        "a3ed95caeb02 Downloading 115MB/2300MB",
        "a3ed95caeb02 Verifying Checksum",
        "a3ed95caeb02 Extracting 1.2GB/2.3GB",
        "a3ed95caeb02 Pull complete",
    ],
)
def test_each_new_word_of_a_pull_is_an_advance(text: str) -> None:
    log = heard(("system", "create container captiv/worker:1"), ("system", text))

    assert log.advanced_s == 1
    assert log.pulling


def test_that_a_pull_begins_is_no_advance() -> None:
    log = heard(("system", "captiv/worker:1 Pulling from registry"))

    assert log.pulling
    assert log.advanced_s is None


def test_a_pull_that_says_the_same_again_does_not_advance() -> None:
    log = heard(
        ("system", "a3ed95caeb02 Downloading 1MB/9MB"),
        ("system", "ffff95caeb02 Downloading 1MB/9MB"),
        ("system", "a3ed95caeb02 Downloading 1MB/9MB"),
        ("system", "a3ed95caeb02 Retrying in 5 seconds"),
    )

    assert log.advanced_s == 1


@pytest.mark.parametrize(
    "text",
    [
        "Collecting transformers>=5",
        "  Downloading transformers-5.0.0-py3-none-any.whl (11.2 MB)",
        "Installing collected packages: tokenizers, transformers",
        "model.safetensors:  43%|####      | 1.20G/2.80G",
    ],
)
def test_a_download_in_the_container_is_an_advance_and_no_pull(text: str) -> None:
    log = heard(("system", START), ("container", text))

    assert log.advanced_s == 1
    assert log.started
    assert not log.pulling


@pytest.mark.parametrize("source", ["system", "container"])
@pytest.mark.parametrize("text", ["ts=1 level=INFO worker_ready", "", "create container captiv:1"])
def test_other_lines_are_no_advance(source: str, text: str) -> None:
    assert heard((source, text)).advanced_s is None


def test_a_container_that_starts_again_and_again_is_counted() -> None:
    once = heard(("system", START))
    often = heard(
        *[("system", START), ("container", "ImportError: no captiv"), ("container", "")] * 4
    )

    assert (once.started, once.restarts) == (True, 0)
    assert often.restarts == 3
    assert often.last_words == "ImportError: no captiv"


def test_only_the_host_says_that_a_container_starts() -> None:
    assert heard(*[("container", START)] * 4).restarts == 0


def test_what_the_guard_says_of_the_worker_counts_too() -> None:
    log = heard(
        ("container", "MemoryError"),
        ("container", "ts=1 level=INFO worker_ended code=-9 restarts=3"),
    )

    assert log.restarts == 3
    assert log.last_words == "MemoryError"


def test_an_image_that_cannot_be_pulled_is_trouble_after_the_third_try() -> None:
    assert heard(*[("system", NOT_FOUND)] * 2).trouble is None
    assert (
        heard(*[("system", NOT_FOUND)] * 3).trouble
        == "its image cannot be pulled: manifest for captiv/worker:9 not found"
    )


def test_a_pull_that_failed_and_goes_on_is_no_trouble() -> None:
    failed = ("system", "error pulling image: TLS handshake timeout")
    log = heard(failed, failed, ("system", "a3ed95caeb02 Downloading 2MB/9MB"), failed)

    assert log.trouble is None


def test_what_it_remembers_is_bounded() -> None:
    log = StartLog()
    for number in range(30_000):
        log.hear("container", f"Downloading {number}", float(number))

    assert log.advanced_s is not None
    assert log.advanced_s < 30_000 - 1


def test_how_much_of_an_image_has_arrived_is_the_sum_of_its_layers() -> None:
    log = heard(
        ("system", "a3ed95caeb02 Downloading 115MB/2300MB"),
        ("system", "ffff95caeb02 Downloading 1.5GB/2GB"),
        ("system", "a3ed95caeb02 Downloading 230.5MB/2300MB"),
        ("system", "0fff95caeb02 Pulling fs layer"),
    )
    assert log.pulled == (1_730_500_000, 4_300_000_000)

    log.hear("system", "ffff95caeb02 Download complete", 9.0)
    assert log.pulled == (2_230_500_000, 4_300_000_000)
    assert heard(("container", "Downloading 1MB/9MB")).pulled is None


def test_that_captiv_cannot_be_installed_is_trouble() -> None:
    log = heard(
        ("container", "ERROR: No matching distribution found for captiv==9"),
        ("container", "bootstrap install_failed No matching distribution found for captiv==9"),
        ("container", "bootstrap end_tried method=POST status=204"),
    )

    assert log.trouble == (
        "captiv cannot be installed in it: No matching distribution found for captiv==9"
    )
