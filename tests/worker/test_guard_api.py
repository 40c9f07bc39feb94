"""What a guard is told by its environment, and what it makes of the API's answers."""

import pytest
from captiv_worker.guard import settings
from captiv_worker.guard.api import end_pod, judged
from captiv_worker.guard.rules import Limits, Outcome


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ((200, 404), Outcome.GONE),
        ((204, None), Outcome.GONE),
        ((403, 204), Outcome.GONE),
        ((404, 404), Outcome.GONE),
        ((401, 401), Outcome.REFUSED),
        ((403, 403), Outcome.REFUSED),
        ((410, 403), Outcome.REFUSED),
        ((403, 500), Outcome.FAILED),
        ((429, 403), Outcome.FAILED),
        ((409, 409), Outcome.FAILED),
        ((302, 302), Outcome.FAILED),
        ((None, None), Outcome.FAILED),
    ],
)
def test_what_two_answers_mean(answers: tuple[int | None, int | None], outcome: Outcome) -> None:
    assert judged(answers) is outcome


@pytest.mark.parametrize("missing", ["RUNPOD_API_KEY", "RUNPOD_POD_ID"])
def test_without_a_key_or_an_id_it_is_refused_before_it_asks(missing: str) -> None:
    given = {"RUNPOD_API_KEY": "rpa_secret", "RUNPOD_POD_ID": "pod7"} | {missing: ""}
    nowhere = {"CAPTIV_RUNPOD_API_URL": "http://127.0.0.1:9"}

    assert end_pod(settings.read(given | nowhere)) is Outcome.REFUSED


def test_a_key_that_no_header_carries_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    given = {"RUNPOD_API_KEY": "rpa_secret\nx", "RUNPOD_POD_ID": "pod7"}
    nowhere = {"CAPTIV_RUNPOD_API_URL": "http://127.0.0.1:9"}

    assert end_pod(settings.read(given | nowhere)) is Outcome.FAILED
    assert "end_unanswered" in caplog.text
    assert "rpa_secret" not in caplog.text


def test_settings_have_defaults_and_survive_nonsense() -> None:
    plain = settings.read({})
    wrong = settings.read(
        {
            "CAPTIV_GUARD_IDLE_S": "soon",
            "CAPTIV_GUARD_STARTUP_S": "-1",
            "CAPTIV_GUARD_DEADLINE": "nan",
            "CAPTIV_RUNPOD_API_URL": " ",
        }
    )

    assert plain == wrong
    assert plain.limits == Limits(startup_s=900, idle_s=900, deadline=None)
    assert plain.api_url == "https://api.runpod.io"


def test_settings_are_read_and_show_no_key() -> None:
    read = settings.read(
        {
            "CAPTIV_GUARD_IDLE_S": "60",
            "CAPTIV_GUARD_DEADLINE": "1790000000.5",
            "RUNPOD_POD_ID": "pod/7",
            "RUNPOD_API_KEY": "rpa_secret",
            "CAPTIV_RUNPOD_API_URL": "http://127.0.0.1:9/",
        }
    )

    assert read.limits == Limits(startup_s=900, idle_s=60, deadline=1790000000.5)
    assert read.folder_name == "captiv-guard-pod_7"
    assert read.api_url == "http://127.0.0.1:9"
    assert read.api_key == "rpa_secret"
    assert "rpa_secret" not in repr(read)
