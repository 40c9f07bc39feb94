"""`captiv runpod list --watch`: the account's pods, again and again until none is left."""

import sys

import anyio

from captiv.cli import pods, show
from captiv.cli.account import Account
from captiv.errors import ProviderBusy, ProviderUnreachable
from captiv.store import Store

_EVERY_S = 3.0


async def look_again(account: Account, ledger: Store | None, *, as_json: bool) -> None:
    """Print the pods every few seconds; as JSON, one line a look."""
    rates = pods.Rates()
    while True:
        try:
            found = await pods.views(account, ledger, rates)
        except (ProviderUnreachable, ProviderBusy) as error:
            show.note(error.message)
        else:
            _tell(found, as_json=as_json)
            if not found:
                return
        await anyio.sleep(_EVERY_S)


def _tell(found: list[pods.View], *, as_json: bool) -> None:
    if as_json:
        show.json_line([pods.as_json(view) for view in found])
    else:
        if sys.stdout.isatty():
            from rich.console import Console

            Console().clear()
        pods.table(found)
    sys.stdout.flush()
