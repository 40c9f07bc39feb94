"""Checks before a run: at once, within their time, and silent where they cannot decide."""

from collections.abc import Sequence

import anyio

from captiv.core.findings import Finding
from captiv.errors import NoWorker
from captiv.workers import Check, findings


def said(text: str) -> Check:
    async def look() -> Sequence[Finding]:
        return [Finding(text, "ok", text)]

    return Check(text, look)


async def test_findings_come_in_the_order_of_the_checks_whichever_is_first() -> None:
    second_done = anyio.Event()

    async def slow() -> Sequence[Finding]:
        await second_done.wait()  # were they not asked at once, this would be undecided
        return [Finding("slow", "ok", "")]

    async def quick() -> Sequence[Finding]:
        second_done.set()
        return [Finding("quick", "ok", "")]

    found = await findings([Check("slow", slow, 60), Check("quick", quick)])

    assert [one.name for one in found] == ["slow", "quick"]


async def test_what_a_check_raises_is_what_a_run_would_end_with() -> None:
    error = NoWorker("Nobody is there.", hint="Look.")

    async def refused() -> Sequence[Finding]:
        raise error

    (found,) = await findings([Check("worker", refused)])

    assert (found.name, found.status, found.error) == ("worker", "fail", error)


async def test_a_check_that_hangs_or_breaks_says_nothing_and_stops_no_other() -> None:
    async def hangs() -> Sequence[Finding]:
        await anyio.sleep_forever()
        return []

    async def breaks() -> Sequence[Finding]:
        raise RuntimeError("odd")

    found = await findings([Check("a", hangs, 0.05), Check("b", breaks), said("c")])

    assert [one.name for one in found] == ["c"]
