"""The table of exit codes: one for every command, every error class and every document."""

import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import pytest

import captiv
from captiv.errors import CaptivError
from captiv.exits import ExitCode, in_words, with_pods
from tests.docs.pages import DOCS

for _module in walk_packages(captiv.__path__, "captiv."):
    if not _module.name.endswith("__main__"):
        import_module(_module.name)  # what they derive from CaptivError is found below

ACCOUNT = {"key_refused", "access_denied", "no_balance"}
BY_FAMILY = {
    "UsageError": ExitCode.USAGE,
    "Interrupted": ExitCode.INTERRUPTED,
    "ConfigurationError": ExitCode.CONFIGURATION,
    "StoreError": ExitCode.CONFIGURATION,
    "ModelError": ExitCode.NO_WORKER,
    "WorkerError": ExitCode.NO_WORKER,
    "ProviderError": ExitCode.NO_WORKER,
}


def errors(cls: type[CaptivError] = CaptivError) -> Iterator[type[CaptivError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__.startswith("captiv."):
            yield from errors(child)


def expected(cls: type[CaptivError]) -> ExitCode:
    if cls.code in ACCOUNT:
        return ExitCode.CONFIGURATION
    if cls.code.startswith("pod_may_"):
        return ExitCode.MAY_BILL
    family = (BY_FAMILY[base.__name__] for base in cls.__mro__ if base.__name__ in BY_FAMILY)
    return next(family, ExitCode.LACKING)


@pytest.mark.parametrize("cls", list(errors()), ids=lambda cls: cls.__name__)
def test_every_error_ends_a_command_with_the_code_of_the_table(cls: type[CaptivError]) -> None:
    assert cls.exit_code is expected(cls)


def test_the_codes_are_those_that_scripts_rely_on() -> None:
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 5, 70, 130, 141]


def test_a_pod_that_may_bill_goes_before_all_that_is_less_urgent() -> None:
    urgent = {code for code in ExitCode if with_pods(code, may_bill=True) != ExitCode.MAY_BILL}

    assert urgent == {
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.INTERNAL,
        ExitCode.READER_LEFT,
    }
    assert all(with_pods(code, may_bill=False) == code for code in ExitCode)


@pytest.mark.parametrize("page", ["captioning.md", "commands.md"])
def test_the_documents_have_the_whole_table(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8").replace(r"\|", "|")
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE))

    assert rows == {str(code.value): code.meaning for code in ExitCode}


def test_help_has_the_whole_table() -> None:
    assert all(f"{code.value} {code.meaning}" in in_words() for code in ExitCode)
