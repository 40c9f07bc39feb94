"""What a guard is told by its environment, and what it makes of the provider's answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from captiv_worker.guard import settings
from captiv_worker.guard.api import Answer, Unanswered, end_pod, judged
from captiv_worker.guard.rules import Limits, Outcome

from captiv.rental.provider import ending_as_json
from captiv.rental.runpod.ending import ending
from tests.endings import Api, api_held

ENDING = "CAPTIV_GUARD_ENDING"
GOOD: dict[str, Any] = {"method": "DELETE", "url": "http://127.0.0.1:9/x"}
UNSET, FAILED = Unanswered.UNSET, Unanswered.FAILED


def runpods(**variables: str) -> settings.Settings:
    """Return what a guard on RunPod is told, by a RunPod that answers nothing."""
    given = {"RUNPOD_API_KEY": "rpa_secret", "RUNPOD_POD_ID": "pod7"}
    return settings.read({ENDING: ending_as_json(ending("http://127.0.0.1:9"))} | given | variables)


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ((200, 404), Outcome.GONE),
        ((204, FAILED), Outcome.GONE),
        ((403, 204), Outcome.GONE),
        ((404, 404), Outcome.GONE),
        ((UNSET, 500, 204), Outcome.GONE),
        ((404,), Outcome.GONE),
        ((401, 401), Outcome.REFUSED),
        ((403, 403, 403), Outcome.REFUSED),
        ((410, 403), Outcome.REFUSED),
        ((UNSET, 403), Outcome.REFUSED),
        ((), Outcome.REFUSED),
        ((403, 500), Outcome.FAILED),
        ((429, 403), Outcome.FAILED),
        ((409, 409), Outcome.FAILED),
        ((302, 302), Outcome.FAILED),
        ((403, 403, FAILED), Outcome.FAILED),
        ((FAILED,), Outcome.FAILED),
    ],
)
def test_what_answers_mean_together(answers: tuple[Answer, ...], outcome: Outcome) -> None:
    assert judged(answers) is outcome


@pytest.mark.parametrize("missing", ["RUNPOD_API_KEY", "RUNPOD_POD_ID"])
def test_without_a_key_or_an_id_it_is_refused_before_it_asks(
    missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    told = runpods(**{missing: " "})

    assert end_pod(told.ending.calls) is Outcome.REFUSED
    assert f"unset={missing}" in caplog.text
    assert "end_unanswered" not in caplog.text
    assert "answers=unset,unset" in caplog.text


@pytest.fixture
def api() -> Iterator[Api]:
    with api_held() as held:
        held.up()
        yield held


def actions(api: Api) -> list[str]:
    """Return what the API was asked for, in order."""
    return [json.loads(call.body)["action"] if call.body else "DELETE" for call in api.calls]


def test_a_pod_is_stopped_only_where_its_key_may_not_terminate_it(api: Api) -> None:
    told = settings.read(api.runpods())

    assert end_pod(told.ending.calls) is Outcome.GONE
    assert actions(api) == ["terminate", "DELETE"]

    api.calls.clear()
    api.status, api.accepts = 403, "stop"
    assert end_pod(told.ending.calls) is Outcome.GONE
    assert actions(api) == ["terminate", "DELETE", "stop"]


def test_a_pod_that_lives_on_although_its_end_was_accepted_is_stopped(api: Api) -> None:
    told = settings.read(api.runpods())

    assert end_pod(told.ending.calls, again=True) is Outcome.GONE
    assert actions(api) == ["terminate", "DELETE", "stop"]


def test_a_call_that_names_an_unset_variable_keeps_no_other_from_being_made() -> None:
    other = {"method": "DELETE", "url": "http://127.0.0.1:9/x/${NEVER_SET}"}
    told = settings.read({ENDING: json.dumps([other, GOOD])})

    assert end_pod(told.ending.calls) is Outcome.FAILED


def test_a_key_that_no_header_carries_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    told = runpods(RUNPOD_API_KEY="rpa_secret\nx")

    assert end_pod(told.ending.calls) is Outcome.FAILED
    assert "end_unanswered" in caplog.text
    assert "rpa_secret" not in caplog.text


def test_settings_have_defaults_and_survive_nonsense() -> None:
    plain = settings.read({})
    wrong = settings.read(
        {
            "CAPTIV_GUARD_IDLE_S": "soon",
            "CAPTIV_GUARD_STARTUP_S": "-1",
            "CAPTIV_GUARD_DEADLINE": "nan",
            "CAPTIV_WORKER_TOKEN_SHA256": "../../etc/passwd",
            ENDING: " ",
        }
    )

    assert plain == wrong
    assert plain.limits == Limits(startup_s=900, idle_s=900, deadline=None)
    assert plain.folder_name == "captiv-guard-pod"
    assert plain.ending.calls == ()


@pytest.mark.parametrize(
    "said",
    [
        "{",
        "{}",
        "[1]",
        "[" * 50_000,
        json.dumps([GOOD | {"method": 1}]),
        json.dumps([GOOD | {"method": "GET /x HTTP/1.1\r\n"}]),
        json.dumps([GOOD | {"method": ""}]),
        json.dumps([{"method": "DELETE"}]),
        json.dumps([GOOD | {"url": "file:///etc/passwd"}]),
        json.dumps([GOOD | {"headers": ["Authorization"]}]),
        json.dumps([GOOD | {"headers": {"Authorization": None}}]),
        json.dumps([GOOD | {"body": {"action": "terminate"}}]),
        json.dumps([GOOD, GOOD | {"url": ""}]),
    ],
)
def test_calls_that_cannot_be_understood_are_no_calls_and_said(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = settings.read({ENDING: said, "KEY": "secret"})

    assert told.ending.calls == ()
    assert f"setting_refused name={ENDING}" in caplog.text
    assert end_pod(told.ending.calls) is Outcome.REFUSED


def test_secrets_are_what_headers_name_or_all_that_is_named_where_that_cannot_be_told() -> None:
    call = GOOD | {
        "url": "https://example.org/${ID}",
        "headers": {"A": "x ${KEY}:${SECOND}", "B": "$KEY ${1} ${} ${A B}"},
        "body": "${ID} ${OTHER}",
    }
    names = {"ID": "7", "KEY": "k", "SECOND": "s", "OTHER": "o"}
    said = json.dumps([call])

    read = settings.read({ENDING: said} | names)
    broken = settings.read({ENDING: said[:-1]} | names)

    assert read.ending.secrets == {ENDING, "KEY", "SECOND"}
    assert broken.ending.secrets == {ENDING, "KEY", "SECOND", "ID", "OTHER"}
    (filled,) = read.ending.calls
    assert filled is not None
    assert filled.headers == {"A": "x k:s", "B": "$KEY ${1} ${} ${A B}"}
    assert filled.body == "7 o"


def test_settings_are_read_and_show_no_key() -> None:
    read = runpods(
        CAPTIV_GUARD_IDLE_S="60",
        CAPTIV_GUARD_DEADLINE="1790000000.5",
        CAPTIV_WORKER_TOKEN_SHA256="0123456789abcdef" + "7" * 48,
        RUNPOD_POD_ID="pod/7",
    )

    assert read.limits == Limits(startup_s=900, idle_s=60, deadline=1790000000.5)
    assert read.folder_name == "captiv-guard-0123456789abcdef"
    assert [call and call.url for call in read.ending.calls] == [
        "http://127.0.0.1:9/v2/pods/pod%2F7/action",
        "http://127.0.0.1:9/v2/pods/pod%2F7",
        "http://127.0.0.1:9/v2/pods/pod%2F7/action",
    ]
    assert {call and call.headers["Authorization"] for call in read.ending.calls} == {
        "Bearer rpa_secret"
    }
    assert "rpa_secret" not in repr(read)
