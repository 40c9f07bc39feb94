"""What a pod costs, and what a cap on it allows.

Money is `Decimal`, in US dollars; rates are dollars an hour, as the provider states them, and are
kept as whole micro-dollars an hour. A pod bills by the second from its creation to its end, and a
second that was begun counts as a whole one, so that no sum said here is too small. Nothing is
rounded to cents before it is shown.
"""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

DEADLINE_CAP_S: Final = 24 * 3600
"""No run's pod lives longer, whatever it may cost."""

_HOUR_S: Final = Decimal(3600)
_MICRO: Final = Decimal(1_000_000)


class Share(NamedTuple):
    """A time in which a pod was paid for, by its price."""

    price_micro: int
    """Micro-dollars an hour."""
    from_ms: int
    to_ms: int

    @property
    def dollars(self) -> Decimal:
        """What it cost."""
        return cost(price_of(self.price_micro), self.from_ms, self.to_ms)


class Estimate(NamedTuple):
    """What is expected, before anything is rented."""

    seconds: float
    dollars: Decimal


def money(amount: float | str) -> Decimal:
    """Return the amount as it is written: 0.16 is 16 cents, without the noise of its binary."""
    return Decimal(str(amount))


def micro(price_usd_h: Decimal) -> int:
    """Return the price in micro-dollars an hour; a finer one counts as the next dearer."""
    return int((price_usd_h * _MICRO).to_integral_value(ROUND_CEILING))


def price_of(price_micro: int) -> Decimal:
    """Return the price in dollars an hour."""
    return Decimal(price_micro) / _MICRO


def cost(price_usd_h: Decimal, from_ms: int, to_ms: int) -> Decimal:
    """Return what a pod of that price cost in that time, in dollars.

    The time in between is rounded up to whole seconds, once. Clocks that disagree may place the
    end before the beginning: that costs nothing.
    """
    return price_usd_h * max(0, -((from_ms - to_ms) // 1000)) / _HOUR_S


def total(shares: Iterable[Share]) -> Decimal:
    """Return what they cost together."""
    return sum((share.dollars for share in shares), Decimal(0))


def estimate(images: int, images_per_s: float, price_usd_h: Decimal, startup_s: float) -> Estimate:
    """Return how long so many images take on one pod, and for how much; its start is paid too."""
    seconds = startup_s + images / images_per_s
    return Estimate(seconds, cost(price_usd_h, 0, round(seconds * 1000)))


def deadline_ms(
    now_ms: int, price_usd_h: Decimal, max_cost: Decimal | None, cap_s: int = DEADLINE_CAP_S
) -> int:
    """Return when a pod rented now has to end itself: before it costs more than `max_cost`."""
    life_ms = Decimal(cap_s * 1000)
    if max_cost is not None and price_usd_h > 0:
        # Whole seconds, for a second that was begun is billed.
        life_ms = min(life_ms, max_cost * _HOUR_S // price_usd_h * 1000)
    return now_ms + max(0, int(life_ms))


def redated_ms(from_ms: int, deadline_ms: int, before: int, price_micro: int) -> int:
    """Return when a pod may cost no more, whose price is another than was said before.

    Args:
        from_ms: when its bill began.
        deadline_ms: when it was to end, by the price before.
        before: that price, in micro-dollars an hour.
        price_micro: what it really costs.
    """
    life_s = (deadline_ms - from_ms) * before // (price_micro * 1000) if price_micro else 0
    return min(from_ms + life_s * 1000, max(deadline_ms, from_ms + DEADLINE_CAP_S * 1000))


def claims_allowed(
    spent: Decimal,
    rate_usd_s: Decimal,
    in_flight_s: float,
    wind_down_s: float,
    max_cost: Decimal | None,
) -> bool:
    """Tell whether another image may be claimed under a cap; without a cap it always may.

    Args:
        spent: what the run has cost so far, in dollars.
        rate_usd_s: what its pods cost together, in dollars a second.
        in_flight_s: how long what is in flight, that image included, still takes.
        wind_down_s: how long the pods bill on until their end is confirmed.
        max_cost: the cap, in dollars.

    What is in flight when claiming stops thus ends, and its pods with it, within the cap.
    """
    if max_cost is None:
        return True
    return spent + rate_usd_s * (money(in_flight_s) + money(wind_down_s)) <= max_cost


def dollars(amount: Decimal) -> str:
    """Return an amount for a person: `$12.50`, and below a dollar `$0.0123`."""
    places = Decimal("0.01") if abs(amount) >= 1 or amount == 0 else Decimal("0.0001")
    rounded = amount.quantize(places, ROUND_HALF_UP)
    return f"-${-rounded:,}" if rounded < 0 else f"${abs(rounded):,}"


def rate(price_usd_h: Decimal) -> str:
    """Return a price for a person: `$0.16/h`, with more places only if it has them."""
    whole = price_usd_h.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"${whole if whole == price_usd_h else price_usd_h.normalize():f}/h"
