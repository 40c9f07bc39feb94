from captiv.gui.session import LIFETIME_S, Sessions
from captiv.settings import Secret, page_key


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_a_day_after_it_was_opened() -> None:
    clock = Clock()
    sessions = Sessions(b"key", clock)
    session = sessions.opened()

    clock.now += LIFETIME_S - 1
    assert sessions.age_s(session) == LIFETIME_S - 1
    clock.now += 1
    assert sessions.age_s(session) is None


def test_a_session_of_the_future_is_none() -> None:
    clock = Clock()
    session = Sessions(b"key", clock).opened()
    clock.now -= 3600

    assert Sessions(b"key", clock).age_s(session) is None


def test_what_is_forged_is_no_session() -> None:
    sessions = Sessions(b"key", Clock())
    began, _, signature = sessions.opened().partition(".")

    for forged in (
        "",
        ".",
        began,
        f"{began}.",
        f"{int(began) + 9}.{signature}",
        f"{began}.é",
        "².",
    ):
        assert sessions.age_s(forged) is None
    assert Sessions(b"other", Clock()).age_s(f"{began}.{signature}") is None


def test_a_link_is_redeemed_once_and_old_ones_are_forgotten() -> None:
    sessions = Sessions(b"key", Clock())
    first, second = sessions.link_token(), sessions.link_token()

    assert sessions.redeem(second) is not None
    assert sessions.redeem(second) is None
    for _ in range(40):
        sessions.link_token()
    assert sessions.redeem(first) is None


def test_each_folder_and_installation_has_a_key_of_its_own() -> None:
    one, other = Secret("a", b"1" * 32), Secret("a", b"2" * 32)

    keys = {page_key(one, "/a"), page_key(one, "/b"), page_key(other, "/a")}

    assert len(keys) == 3


def test_no_secret_is_in_what_is_printed_of_the_sessions() -> None:
    sessions = Sessions(b"the key itself", Clock())
    sessions.link_token()

    assert "key" not in repr(sessions).lower()
