"""`captiv gui`: the page."""

from pathlib import Path
from typing import Annotated

import typer

from captiv.cli import show
from captiv.cli.invocation import current, everywhere
from captiv.cli.lazy import STYLE
from captiv.errors import UsageError

app = typer.Typer(**STYLE)


@app.callback()
def gui() -> None:
    """Look at pictures and captions in the browser."""


@app.command()
@everywhere
def launch(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The current folder if none.")] = (
        Path()
    ),
    host: Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1).")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port (7860); 0 takes a free one.")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key, for https.")
    ] = None,
    ssl_certfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate, for https.")
    ] = None,
    runpod: Annotated[
        bool, typer.Option("--runpod", help="Caption on RunPod unless told otherwise.")
    ] = False,
    share: Annotated[
        bool,
        typer.Option(
            "--share",
            help="Let others look at it over a tunnel, who have its passphrase; with --share=edit "
            "they may change captions, too.",
        ),
    ] = False,
    share_edit: Annotated[bool, typer.Option("--share-edit", hidden=True)] = False,
    share_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Share it over your own tunnel, which leads to its port."),
    ] = None,
    share_hours: Annotated[
        float | None, typer.Option(min=0.01, max=168, help="End the sharing after so long (8).")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> None:
    """Open the page that shows a folder's pictures and captions; Ctrl-C ends it.

    The address that it prints works once, in one browser. Nobody else gets in, but for --share.
    Runs that were begun on the page finish what is at a worker when it ends; a second Ctrl-C ends
    them at once.
    """
    try:
        from captiv.gui.launch import Options, is_loopback
        from captiv.gui.launch import launch as serve
        from captiv.gui.rights import Right
        from captiv.gui.share import HOURS
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The page needs a part that is not installed ({error.name}).",
            hint="pip install 'captiv[gui]'",
        ) from error
    from captiv.cli.outlet import unhindered
    from captiv.settings.keys import find_key

    unhindered(out=True)
    loaded = current().loaded()
    chosen = loaded.settings.gui
    key = find_key("gui", "port")
    assert key is not None
    options = Options(
        root=folder,
        host=host or chosen.host,
        port=chosen.port if port is None else port,
        port_named=port is not None or loaded.origin(key).kind != "default",
        keyfile=ssl_keyfile or _path(chosen.ssl_keyfile),
        certfile=ssl_certfile or _path(chosen.ssl_certfile),
        opens_browser=not no_open,
        runpod=runpod,
        share=Right.EDIT if share_edit else Right.LOOK if share or share_url else None,
        share_url=share_url,
        share_hours=HOURS if share_hours is None else share_hours,
    )
    if options.share is None and share_hours is not None:
        raise UsageError("--share-hours is for a page that is shared.", hint="Add --share.")
    if not is_loopback(options.host):
        plain = "" if options.certfile else ", and without TLS everybody on the way can read along"
        show.say(f"captiv: other machines can reach the page on {options.host}{plain}.")
    serve(
        options,
        current().paths(),
        loaded.settings,
        on_link=_tell,
        on_note=show.note,
        on_share=_tell_share,
        reads_settings=current().loaded,
    )


def _tell(link: str) -> None:
    import sys

    show.note("the page is open under this link, once; Ctrl-C ends it")
    show.line(link)
    sys.stdout.flush()


def _tell_share(url: str, passphrase: str) -> None:
    import sys

    show.note("the page is shared under this address, with this passphrase")
    show.line(url)
    show.line(passphrase)
    sys.stdout.flush()


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
