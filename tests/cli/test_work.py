"""How a command that works on the queue ends, for a person and for a program."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from captiv.cli.progress import Display
from captiv.cli.work import work
from captiv.core.jobs import Counts
from captiv.errors import BudgetSpent, CaptivError, NoWorker
from captiv.service import Outcome

from .test_progress import RUN


def end(error: CaptivError | None, *, as_json: bool = False, **counts: int) -> int:
    async def outcome(_display: Display) -> Outcome:
        return Outcome(replace(RUN, counts=Counts(**counts)), error=error)

    return work(
        outcome,
        verbosity="normal",
        as_json=as_json,
        print_captions=False,
        resume="captiv again",
        log_file=Path("captiv.log"),
    )


def test_a_run_that_its_cap_ended_is_not_told_to_do_the_same_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert end(BudgetSpent("It costs too much."), as_json=True, pending=3) == 1

    said = capsys.readouterr()
    assert "To resume: the same command with a higher --max-cost." in said.err
    assert "captiv again" not in said.err
    assert json.loads(said.out)["resume"] is None


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_still_to_do_has_the_command_that_goes_on(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    assert end(NoWorker("There is none."), as_json=as_json, pending=3) == 4

    said = capsys.readouterr()
    assert "To resume: captiv again" in said.err
    assert not as_json or json.loads(said.out)["resume"] == "captiv again"


def test_what_is_done_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert end(None, as_json=True, done=3) == 0

    said = capsys.readouterr()
    assert "To resume" not in said.err
    assert json.loads(said.out)["resume"] is None
