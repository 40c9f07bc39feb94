"""The share by itself, with a clock of the test's."""

import re

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from captiv.errors import UsageError
from captiv.gui.guard import Guard, Hosts
from captiv.gui.rights import Right, held
from captiv.gui.session import Sessions
from captiv.gui.share import Entered, Refused, Share, checked_url
from captiv.gui.words import words

URL = "https://four-words.trycloudflare.com"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def begun(clock: Clock, right: Right = Right.LOOK) -> tuple[Share, str]:
    share, passphrase = Share.begin(right, 8, clock)
    share.opened(URL)
    return share, passphrase


def test_a_passphrase_is_four_words_of_more_than_a_thousand() -> None:
    _, passphrase = Share.begin(Right.LOOK)

    assert len(passphrase.split()) == 4
    assert set(passphrase.split()) <= set(words())
    assert len(words()) == len(set(words())) > 1024
    assert all(re.fullmatch("[a-z]{2,9}", word) for word in words())


def test_passphrases_differ_and_are_kept_nowhere() -> None:
    made = [Share.begin(Right.LOOK) for _ in range(20)]

    assert len({passphrase for _, passphrase in made}) == 20
    assert not any(passphrase in repr(share) for share, passphrase in made)


def test_it_is_understood_however_it_is_typed(clock: Clock) -> None:
    share, passphrase = begun(clock)

    assert isinstance(share.enter(passphrase.upper().replace(" ", "-"), "a"), Entered)
    assert isinstance(share.enter(f"  {passphrase.replace(' ', '  ')}\n", "a"), Entered)


def test_a_session_is_good_for_this_share_alone(clock: Clock) -> None:
    share, passphrase = begun(clock)
    other, _ = begun(clock)
    entered = share.enter(passphrase, "a")
    assert isinstance(entered, Entered)

    assert share.admits(entered.session)
    assert not other.admits(entered.session)
    assert not share.admits(entered.session[:-1] + "x")
    assert not share.admits("")


def test_a_right_passphrase_too_soon_after_a_wrong_one_is_not_looked_at(clock: Clock) -> None:
    share, passphrase = begun(clock)
    assert share.enter("wrong", "a") == Refused(1.0, heard=True)

    assert share.enter(passphrase, "a") == Refused(1.0, heard=False)
    clock.now += 1
    assert isinstance(share.enter(passphrase, "a"), Entered)


def test_it_ends_on_time_and_sessions_with_it(clock: Clock) -> None:
    share, passphrase = begun(clock)
    entered = share.enter(passphrase, "a")
    assert isinstance(entered, Entered)
    clock.now += 8 * 3600 - 1
    assert (share.state, share.admits(entered.session)) == ("open", True)

    clock.now += 1

    assert (share.state, share.admits(entered.session)) == ("over", False)


def test_why_it_is_over_is_known_as_soon_as_it_is(clock: Clock) -> None:
    late, _ = begun(clock)
    early, _ = begun(clock)
    early.end("Somebody ended it.")

    assert (late.state, late.over_because) == ("open", "")
    clock.now = late.until
    assert (late.state, late.over_because) == ("over", "Its time is over.")
    late.end("The tunnel ended.")
    assert late.over_because == "Its time is over.", "it was over before"
    assert early.over_because == "Somebody ended it."


def test_nobody_is_in_before_it_is_open_or_after_its_end(clock: Clock) -> None:
    share, passphrase = Share.begin(Right.LOOK, 8, clock)
    entered = share.enter(passphrase, "a")
    assert isinstance(entered, Entered)
    assert not share.admits(entered.session)
    share.opened(URL)
    assert share.admits(entered.session)

    share.end("enough")

    assert not share.admits(entered.session)


@pytest.mark.parametrize(
    "url", ["http://a.example", "a.example", "https://a.example/page", "https://u:p@a.example"]
)
def test_an_address_that_cannot_be_shared_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        checked_url(url)


@pytest.fixture
def open_share(clock: Clock) -> tuple[Share, str]:
    return begun(clock)


async def test_the_guard_lets_visitors_in_until_the_clock_says_so(
    clock: Clock, open_share: tuple[Share, str]
) -> None:
    share, passphrase = open_share

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request

        answer = PlainTextResponse(held(Request(scope)).word)
        await answer(scope, receive, send)

    hosts = Hosts({"127.0.0.1", share.name})
    guard = Guard(app, Sessions(b"k"), hosts, port=1, secure=False, share=lambda: share)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(guard), base_url=URL) as visitor:
        outside = await visitor.get("/api/folders")
        entered = await visitor.post("/enter", data={"passphrase": passphrase})
        inside = await visitor.get("/api/folders")
        clock.now += 8 * 3600
        later = await visitor.get("/api/folders")
        again = await visitor.post("/enter", data={"passphrase": passphrase})
        still = await visitor.get("/api/folders")

    assert (outside.status_code, entered.status_code, inside.text) == (401, 303, "look")
    assert (later.status_code, still.status_code) == (410, 410)
    assert again.status_code == 410
