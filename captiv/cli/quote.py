"""`captiv quote`: every road to a folder's captions beside the others, the cheapest first."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from captiv.cli import show
from captiv.cli.groups import grouped
from captiv.cli.invocation import current
from captiv.request.options import ModelOptions

if TYPE_CHECKING:
    from captiv.quote import Asked, Road

_HEADINGS = ("Road", "$/h", "Images/s", "Takes", "Costs", "$ per 1,000", "Told by")


@grouped
def quote(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Images and folders; the current folder if none.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders below, too.")
    ] = False,
    *,
    model: ModelOptions,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--torch-dtype", help="auto, float32, float16, bfloat16, 8bit or 4bit.", metavar="TEXT"
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="auto, transformers or vllm: what drives the model, here and in pods.",
            metavar="TEXT",
        ),
    ] = None,
    pods: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="N", help="Pods that share the work; else 2 and 4."),
    ] = None,
    worker: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A worker of yours; else worker.url."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON value.")] = False,
) -> None:
    """Price every way to caption a folder: this machine, GPUs on offer, your worker, a chat API.

    Only images without a caption count. If the model is already on this machine,
    or loaded in your worker, captiv tries it on a few images. Nothing is written,
    rented or downloaded.
    """
    import anyio

    from captiv.cli.nothing import no_images
    from captiv.cli.preview import scanned
    from captiv.cli.trying import tried
    from captiv.exits import ExitCode
    from captiv.quote import Asked, roads
    from captiv.request.options import Options
    from captiv.request.run import request

    settings, places = current().settings(), current().paths()
    options = Options(
        paths=tuple(paths or ()),
        recursive=recursive,
        dtype=dtype,
        engine=engine,
        runpod=True,
        **vars(model),
    )
    spec, choice = request(options, settings)
    configured = [] if settings.worker.url is None else [settings.worker.url]
    with current().queue() as store:
        found = scanned(spec, store)
        asked = Asked(spec, choice.variant, found.wanted, pods, tuple(worker or configured))
        if found.wanted:
            attempt = partial(tried, paths=places, settings=settings)
            ways = anyio.run(roads, asked, settings, store, attempt)
        else:
            ways = []
    if found.nothing:
        show.note(no_images(spec.selection.roots, recursive=spec.selection.recursive))
    _tell(asked, ways, as_json=as_json)
    raise typer.Exit(ExitCode.LACKING if found.nothing else ExitCode.DONE)


def _tell(asked: "Asked", ways: Sequence["Road"], *, as_json: bool) -> None:
    from captiv.quote import notes

    said = notes(asked) if ways else []
    if as_json:
        captioning = asked.spec.captioning
        show.json_value(
            {
                "images": asked.images,
                "model": captioning.model,
                "variant": captioning.variant,
                "roads": [_facts(asked, way) for way in ways],
                "notes": said,
            }
        )
        return
    if not ways:
        show.note("There is no image without a caption.")
        return
    show.note(f"{show.plural(asked.images, 'image')}, {asked.spec.captioning.variant}:")
    show.table(_HEADINGS, [_row(asked, way) for way in ways], right=(1, 2, 3, 4, 5))
    for sentence in said:
        show.note(sentence)


def _row(asked: "Asked", way: "Road") -> Sequence[object]:
    from captiv.core.cost import dollars, rate
    from captiv.rental.views import duration

    thousand = _per_thousand(asked, way)
    return (
        way.what,
        "" if way.price_usd_h is None else rate(way.price_usd_h),
        "" if way.images_per_s is None else f"{way.images_per_s:.2g}",
        "" if way.seconds is None else duration(way.seconds),
        "" if way.dollars is None else dollars(way.dollars),
        "" if thousand is None else dollars(thousand),
        way.problem or way.told,
    )


def _facts(asked: "Asked", way: "Road") -> dict[str, Any]:
    thousand = _per_thousand(asked, way)
    return {
        "kind": way.kind,
        "what": way.what,
        "pods": way.pods,
        "price_usd_h": None if way.price_usd_h is None else float(way.price_usd_h),
        "images_per_s": way.images_per_s,
        "seconds": None if way.seconds is None else round(way.seconds),
        "dollars": None if way.dollars is None else f"{way.dollars:.6f}",
        "dollars_per_1000": None if thousand is None else f"{thousand:.6f}",
        "told": way.told,
        "as_run": way.as_run,
        "problem": way.problem,
    }


def _per_thousand(asked: "Asked", way: "Road") -> Any:
    return None if way.dollars is None else way.dollars * 1000 / asked.images
