"""`captiv runpod`: the pods of the account, and what they cost."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from captiv.cli import show
from captiv.cli.invocation import current, everywhere
from captiv.cli.lazy import STYLE
from captiv.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from captiv.core.phase import Phase
    from captiv.rental.sweep import Swept
    from captiv.settings import Settings

app = typer.Typer(**STYLE)

PodId = Annotated[str, typer.Argument(metavar="POD", help="Id or name of a pod.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
@everywhere
def create(
    name: Annotated[
        str | None, typer.Option(metavar="WORD", help="A word of your own in the pod's name.")
    ] = None,
    gpu_type: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="GPU type tried first: RTX 4090, …; one that is not on offer at all is refused.",
        ),
    ] = None,
    cloud: Annotated[
        Literal["any", "secure", "community"] | None, typer.Option(help="Where it is rented.")
    ] = None,
    image: Annotated[str | None, typer.Option(metavar="IMAGE", help="Worker image.")] = None,
    disk: Annotated[
        int | None, typer.Option(min=1, max=10_000, metavar="GB", help="Container disk.")
    ] = None,
    template_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Template for image, environment and disk.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="Model that it loads.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is ready.")] = True,
    json: Json = False,
) -> None:
    """Rent a pod by hand. Runs use it, and leave it to you and to its guard."""
    from captiv.cli.onaccount import on_account
    from captiv.rental import create as making
    from captiv.request.run import model_to_load

    given = {
        "cloud": cloud,
        "image": image,
        "container_disk_size": disk,
        "template_id": template_id,
    }
    settings = _with(current().settings(), given)
    with current().store() as ledger:
        made = on_account(
            lambda account: making.create(
                account,
                ledger,
                model_to_load(model, settings),
                name=name,
                wait=wait,
                image=image,
                disk_gb=disk,
                gpu_type=gpu_type,
                on_note=_note,
                on_phase=_Phases().tell,
            ),
            settings=settings,
        )
    if json:
        show.json_value(making.as_json(made))
    else:
        show.line(made.pod.id)


@app.command("list")
@everywhere
def list_(
    json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until none is left.")] = (
        False
    ),
) -> None:
    """List the account's pods: phase, price, what each has cost, and the queue behind it."""
    from captiv.cli.onaccount import on_account
    from captiv.cli.podtable import table
    from captiv.cli.podwatch import look_again
    from captiv.rental import views

    with current().queue() as ledger:
        if watch:
            on_account(lambda account: look_again(account, ledger, as_json=json))
            return
        found = on_account(lambda account: views.views(account, ledger))
    if json:
        show.json_value([views.as_json(view) for view in found])
    else:
        table(found)


@app.command()
@everywhere
def status(pod: PodId, json: Json = False) -> None:
    """Show one pod: what RunPod, its worker and the ledger say of it."""
    from captiv.cli import podstatus
    from captiv.cli.onaccount import on_account

    with current().queue() as ledger:
        found = on_account(lambda account: podstatus.of(account, ledger, pod))
    if json:
        show.json_value(podstatus.as_json(found))
    else:
        podstatus.tell(found)


@app.command()
@everywhere
def logs(
    pod: PodId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the pod is gone.")] = False,
    source: Annotated[
        Literal["container", "system"],
        typer.Option(help="container: what runs in it; system: how RunPod starts it."),
    ] = "container",
    tail: Annotated[int, typer.Option(min=1, max=5000, help="So many lines of the past.")] = 100,
) -> None:
    """Show a pod's log."""
    from captiv.cli import podstatus
    from captiv.cli.onaccount import on_account

    with current().queue() as ledger:
        on_account(
            lambda account: podstatus.tell_log(
                account, ledger, pod, source=source, follow=follow, tail=tail
            )
        )


@app.command()
@everywhere
def gpus(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Say of each whether it holds this."),
    ] = None,
    json: Json = False,
) -> None:
    """List GPU types: memory, price and stock in each cloud, and how many models they hold.

    Off a terminal the columns are separated by tabs, without headings, and the last one names the
    models, as --json does.
    """
    from captiv.cli import gpulist
    from captiv.cli.onaccount import on_account
    from captiv.request.run import model_choice

    settings = current().settings()
    asked = None if model is None else model_choice(model, None, settings)
    found = on_account(lambda account: account.provider.offers())
    gpulist.tell(found, settings.system.default_torch_dtype, asked=asked, as_json=json)


@app.command()
@everywhere
def stop(pod: PodId) -> None:
    """Stop a pod: its GPU is given back, its disk is kept and may go on costing."""
    from captiv.cli.onaccount import on_account
    from captiv.rental import actions

    with current().queue() as ledger:
        stopped = on_account(lambda account: actions.stop(account, ledger, pod))
    show.note(
        f"pod {stopped.id} is stopped; its disk may still cost something. "
        f"Again: captiv runpod start {stopped.id}. For good: captiv runpod terminate {stopped.id}."
    )


@app.command()
@everywhere
def start(pod: PodId) -> None:
    """Start a stopped pod, and give its guard new limits."""
    from captiv.cli.onaccount import on_account
    from captiv.rental import actions

    with current().queue() as ledger:
        on_account(lambda account: actions.start(account, ledger, pod, _note))


@app.command()
@everywhere
def terminate(pod: PodId, yes: Yes = False) -> None:
    """End a pod for good, and see that it is gone."""
    from captiv.cli.onaccount import on_account
    from captiv.rental import actions

    with current().store() as ledger:
        found = on_account(lambda account: actions.to_terminate(account, ledger, pod))
        if not show.confirm(found.question, yes=yes):
            raise typer.Exit(ExitCode.LACKING)
        said = on_account(lambda account: actions.terminate(account, ledger, found))
    show.note(said)


@app.command()
@everywhere
def sweep(json: Json = False) -> None:
    """End this installation's pods that nobody needs; name those that are left, and why."""
    from dataclasses import asdict

    from captiv.cli.onaccount import on_account
    from captiv.rental.sweep import sweep as swept_by

    with current().store() as ledger:
        swept = on_account(lambda account: swept_by(account, ledger, by_hand=True))
    if json:
        show.json_value([asdict(one) for one in swept])
    else:
        _tell_swept(swept)
    if any(one.outcome == "still there" for one in swept):
        raise typer.Exit(ExitCode.MAY_BILL)


def _with(settings: "Settings", given: "Mapping[str, object]") -> "Settings":
    """Return the settings with those of [runpod] that were given on the command line."""
    said = {key: value for key, value in given.items() if value is not None}
    return settings.model_copy(update={"runpod": settings.runpod.model_copy(update=said)})


def _tell_swept(swept: "list[Swept]") -> None:
    if all(one.outcome == "left" for one in swept):
        show.line("Nothing to sweep.")
    for one in swept:
        show.line(f"{one.outcome}: {one.pod_id or one.name}: {show.visible(one.reason)}")
        if one.outcome == "still there":
            show.line(f"  It may still bill. Terminate it: captiv runpod terminate {one.pod_id}")


class _Phases:
    """Notes each phase of a pod, once as it is worded."""

    def __init__(self) -> None:
        self._told = ""

    def tell(self, phase: "Phase | None") -> None:
        """Note this phase, unless the last one was the same in words."""
        from captiv.gui.phases import worded

        text = "" if phase is None else worded(phase)
        if text and text != self._told:
            show.note(text)
        self._told = text


def _note(text: str) -> None:
    show.note(show.visible(text))  # a line of a pod's log may stand in it
