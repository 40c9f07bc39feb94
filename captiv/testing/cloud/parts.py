"""What the simulated cloud is made of, for the API, the proxy and the control routes alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import anyio

from captiv.testing.cloud.bill import Bill
from captiv.testing.cloud.catalog import Catalog
from captiv.testing.cloud.conditions import Conditions
from captiv.testing.cloud.credit import Credit
from captiv.testing.cloud.history import Call
from captiv.testing.cloud.link import Link
from captiv.testing.cloud.mischief import Mischief
from captiv.testing.cloud.pods import Pods


@dataclass(slots=True, kw_only=True)
class Parts:
    """All of it."""

    conditions: Conditions
    clock: Callable[[], float]
    pods: Pods
    bill: Bill
    credit: Credit
    mischief: Mischief
    link: Link
    catalog: Catalog = field(default_factory=Catalog)
    history: list[Call] = field(default_factory=list)
    closing: anyio.Event = field(default_factory=anyio.Event)
    """Set when the cloud is being switched off: nobody waits any longer."""

    def balance(self) -> Decimal:
        """Return what is left of the account's money."""
        return self.credit.left
