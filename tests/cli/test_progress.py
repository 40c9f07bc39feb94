"""What a person reads of a run, and what a program does."""

import io
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from captiv.cli import progress
from captiv.cli.progress import Display, Verbosity, printable
from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.phase import Phase, Step
from captiv.core.spec import Captioning, Placement, RunSpec, Selection, Site
from captiv.dispatch.events import LaneView

SPEC = RunSpec(
    selection=Selection(roots=("/x",)), captioning=Captioning(model="m", variant="v", source="s")
)
RUN = Run(RunId(7), RunState.ACTIVE, SPEC, "f", True, 0, None, Counts())


class Screen:
    """A display, and everything that it has shown."""

    def __init__(self, verbosity: Verbosity = "normal", *, as_json: bool = False) -> None:
        self.err, self.out = io.StringIO(), io.StringIO()
        console = Console(file=self.err, soft_wrap=True, highlight=False)
        self.display = Display(verbosity=verbosity, as_json=as_json, err=console, out=self.out)

    def ended(self, exit_code: int = 0, **counts: int) -> str:
        run = replace(RUN, counts=Counts(**counts))
        self.display.summary(run, where="this machine", exit_code=exit_code, error=None)
        return self.err.getvalue()


def test_the_end_accounts_for_every_image() -> None:
    screen = Screen()
    screen.display.captioned("/x/a.png", "a dog")
    screen.display.kept("/x/k.png")
    screen.display.failed("/x/f.png", "image_unreadable", "It is empty.")
    screen.display.unwritten("/x/u.png", "the disk is full")

    said = screen.ended(1, done=4, kept=1, failed=1, captioned=1, skipped=5, pending=2)

    for part in (
        "1 captioned, 2 captioned before, 5 skipped",
        "1 kept, 1 failed, 1 not written, 2 still to do",
        "/x/k.png",
        "failed, image_unreadable (1):",
        "/x/f.png: It is empty.",
        "/x/u.png: the disk is full",
        "captiv queue retry",
    ):
        assert part in said


def test_an_image_that_is_told_of_twice_is_named_once() -> None:
    screen, json_screen = Screen(), Screen(as_json=True)
    for display in (screen.display, json_screen.display):
        for _ in range(2):
            display.failed("/x/f.png", "image_unreadable", "It is empty.")
            display.kept("/x/k.png")

    said = screen.ended(1, failed=1, done=1, kept=1)

    assert said.count("/x/f.png") == said.count("/x/k.png") == 1
    assert len(json_screen.out.getvalue().splitlines()) == 2


def test_an_image_that_another_process_retried_has_not_failed_in_the_end() -> None:
    screen = Screen()
    screen.display.failed("/x/f.png", "image_unreadable", "It is empty.")
    screen.display.captioned("/x/f.png", "a dog")

    assert "/x/f.png" not in screen.ended(done=1)


def test_long_lists_are_cut_and_say_where_the_rest_is() -> None:
    screen = Screen()
    for n in range(25):
        screen.display.failed(f"/x/{n:02d}.png", "image_unreadable", "It is empty.")

    said = screen.ended(1, failed=25)

    assert said.count("It is empty.") == 20
    assert "and 5 more: captiv queue list" in said


def test_the_price_is_said_before_anything_is_rented_unless_quiet() -> None:
    screen, quiet, as_json = Screen(), Screen("quiet"), Screen(as_json=True)
    for each in (screen, quiet, as_json):
        each.display.priced("Renting a GPU, $0.16/h.")

    assert screen.err.getvalue() == as_json.err.getvalue() == "Renting a GPU, $0.16/h.\n"
    assert quiet.err.getvalue() == as_json.out.getvalue() == ""


def test_a_bar_shows_what_the_pods_have_cost_so_far() -> None:
    screen, console = io.StringIO(), Console(file=io.StringIO(), force_terminal=True, width=200)
    with Display(err=console, out=screen) as display:
        display.counted(replace(RUN, counts=Counts(done=1, pending=1)))
        display.paid(Decimal(0))
        assert "$" not in shown(display)
        display.paid(Decimal("0.0123"))
        assert "$0.0123" in shown(display)


def shown(display: Display) -> str:
    """Return the bar as it is drawn now."""
    assert display._bar is not None
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as capture:
        console.print(display._bar.get_renderable())
    return capture.get()


def test_plain_lines_tell_the_cost_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic_s", lambda: now[0])
    screen = Screen()
    screen.display.paid(Decimal("1.5"))
    now[0] = 60
    screen.display.counted(replace(RUN, counts=Counts(done=1, pending=1)))

    assert "1 of 2 images, $1.50" in screen.err.getvalue()


def test_quiet_says_only_what_went_wrong() -> None:
    screen = Screen("quiet")
    screen.display.captioned("/x/a.png", "a dog")
    assert screen.ended(done=1) == ""
    screen.display.failed("/x/f.png", "image_unreadable", "It is empty.")
    assert "/x/f.png" in screen.ended(1, failed=1)


def test_json_is_one_object_a_line_whatever_the_name() -> None:
    screen = Screen(as_json=True)
    screen.display.captioned("/x/new\nline \udce9.png", "a dog")
    screen.ended(done=1)

    image, end = [json.loads(line) for line in screen.out.getvalue().splitlines()]

    assert image == {
        "path": "/x/new\nline \udce9.png",
        "status": "captioned",
        "caption": "a dog",
    }
    assert (end["status"], end["captioned"], end["exit_code"]) == ("ended", 1, 0)


def test_a_name_cannot_write_on_the_terminal() -> None:
    screen = Screen("verbose")
    screen.display.captioned("/x/\x1b[2J.png", "a\ndog")
    screen.display.failed("/x/\x1b[2J.png", "code", "reason")

    assert "\x1b" not in screen.err.getvalue()
    assert printable("é🦊\u202e\udce9") == "é🦊\\u202e\\udce9"


def test_each_of_several_workers_is_shown() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=200)

    with Display(err=console, out=io.StringIO()) as display:
        display.lanes(
            [LaneView("pod 1", None, 120), LaneView("pod 2", Phase(Step.DOWNLOADING, 4, 10), 0)]
        )
        display.phase(None)
        display.counted(RUN)

    assert "pod 1: 120 captioned, pod 2: downloading the model (40 % of 10 B)" in shown.getvalue()


def test_captions_are_counted_by_worker_where_there_are_several() -> None:
    screen, json_screen, alone = Screen(), Screen(as_json=True), Screen()
    for display in (screen.display, json_screen.display):
        display.lanes([LaneView("cpu", None, 3), LaneView("box.example", None, 1)])
        display.lanes([LaneView("cpu", None, 5), LaneView("box.example", None, 2, over=True)])

    json_screen.ended(done=7)

    assert "By worker: cpu 5, box.example 2.\n" in screen.ended(done=7)
    end = json.loads(json_screen.out.getvalue())
    assert end["workers"] == {"cpu": 5, "box.example": 2}
    assert "By worker" not in alone.ended(done=7)


def test_a_worker_that_has_ended_is_no_longer_shown() -> None:
    screen = Screen("verbose")
    screen.display.lanes([LaneView("cpu", None, 3), LaneView("box", None, 1, over=True)])
    screen.display._plain_due_s = 0
    screen.display.counted(RUN)

    assert "(cpu: 3 captioned)" in screen.err.getvalue()


def test_a_download_is_told_once_with_its_size() -> None:
    screen, quiet = Screen(), Screen("quiet")
    for display in (screen.display, quiet.display):
        display.opened(RUN, resumed=False)
        display.phase(Phase(Step.LOADING))
        display.phase(Phase(Step.DOWNLOADING, 0, 14_900_000_000))
        display.phase(Phase(Step.DOWNLOADING, 149_000_000, 14_900_000_000))

    assert screen.err.getvalue() == (
        "This machine downloads the model first: 14.9 GB. It is kept for the next time.\n"
    )
    assert quiet.err.getvalue() == ""


def test_a_download_of_a_rented_pod_has_its_line_and_so_has_the_one_it_falls_back_to() -> None:
    placement = Placement(kind="rented", provider="runpod")
    rented = replace(RUN, spec=SPEC.model_copy(update={"placement": placement}))
    screen = Screen()
    screen.display.opened(rented, resumed=False)
    for pod in ("pod 1", "pod 2"):
        screen.display.phase(Phase(Step.DOWNLOADING, 0, 14_900_000_000), worker=pod)
    screen.display.counted(RUN)
    screen.display.phase(Phase(Step.DOWNLOADING, 0, 14_900_000_000))

    assert screen.err.getvalue() == (
        "The pod downloads the model first: 14.9 GB.\n"
        "This machine downloads the model first: 14.9 GB. It is kept for the next time.\n"
    )


def test_a_download_of_one_of_several_kinds_of_worker_is_nobody_s_in_particular() -> None:
    placement = Placement(kind="url", url="https://box", beside=(Site(),))
    mixed = replace(RUN, spec=SPEC.model_copy(update={"placement": placement}))
    screen = Screen()
    screen.display.opened(mixed, resumed=False)
    screen.display.phase(Phase(Step.DOWNLOADING, 0, 14_900_000_000), worker="this machine")

    assert screen.err.getvalue() == "A worker downloads the model first: 14.9 GB.\n"


def test_a_phase_is_said_once_as_it_is_worded() -> None:
    screen = Screen("verbose")
    for phase in (
        Phase(Step.CONNECTING, subject="https://here"),
        Phase(Step.RESOLVING),
        Phase(Step.WAITING, subject="abc"),
        Phase(Step.LOADING, 100, 1000),
        Phase(Step.LOADING, 101, 1000),
    ):
        screen.display.phase(phase, worker="pod 2")

    assert screen.err.getvalue().splitlines() == [
        "pod 2: connecting to https://here",
        "pod 2: resolving the model",
        "pod 2: waiting for other captions of pod abc",
        "pod 2: loading the model (10 % of 1 kB)",
    ]


def test_a_rate_is_left_out_until_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic_s", lambda: now[0])
    screen = Screen()
    for now_s, done in ((111.0, 0), (122.0, 10), (133.0, 10), (144.0, 12)):
        now[0] = now_s
        screen.display.counted(replace(RUN, counts=Counts(done=done, pending=12 - done)))

    assert screen.err.getvalue().splitlines() == [
        "0 of 12 images",
        "10 of 12 images",
        "10 of 12 images",
        "12 of 12 images, 0.1 images/s",
    ]
