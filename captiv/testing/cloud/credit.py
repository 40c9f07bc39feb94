"""The money of the account: what pods have cost is taken from it, and people may add some."""

from decimal import Decimal

from captiv.testing.cloud.bill import Bill


class Credit:
    """The account's balance."""

    def __init__(self, dollars: Decimal, bill: Bill) -> None:
        self._added = dollars
        self._bill = bill

    @property
    def left(self) -> Decimal:
        """What is left, in dollars; below 0 where a pod cost more than was there."""
        return self._added - self._bill.dollars()

    def add(self, dollars: Decimal) -> None:
        """Add credit, or take some away."""
        self._added += dollars
