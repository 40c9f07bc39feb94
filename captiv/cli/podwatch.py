"""`captiv runpod list --watch`: the account's pods, again and again until none is left."""

import sys

import anyio

from captiv.cli import show
from captiv.cli.podtable import table
from captiv.errors import ProviderBusy, ProviderUnreachable
from captiv.rental.account import Account
from captiv.rental.records import Billed
from captiv.rental.views import Rates, View, views
from captiv.rental.views import as_json as pod_as_json
from captiv.store import Store

_EVERY_S = 3.0


async def look_again(account: Account, ledger: Store | None, *, as_json: bool) -> None:
    """Print the pods every few seconds; as JSON, one line a look."""
    rates, billed = Rates(), Billed()
    while True:
        try:
            found = await views(account, ledger, rates, billed)
        except (ProviderUnreachable, ProviderBusy) as error:
            show.note(error.message)
        else:
            _tell(found, as_json=as_json)
            if not found:
                return
        await anyio.sleep(_EVERY_S)


def _tell(found: list[View], *, as_json: bool) -> None:
    if as_json:
        show.json_line([pod_as_json(view) for view in found])
    else:
        if sys.stdout.isatty():
            from rich.console import Console

            Console().clear()
        table(found)
    sys.stdout.flush()
