import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core.texts import content_hash
from captiv.store.texts import decode_path, encode_path, readable

PIECES = st.characters(categories=["Cs"]) | st.characters() | st.sampled_from(["escaped:", "%41"])
ANY = st.lists(PIECES, max_size=12).map("".join)
"""Lone surrogates and escapes are too rare among all characters to be met by chance."""


@given(ANY)
def test_every_path_survives(path: str) -> None:
    stored = encode_path(path)

    stored.encode("utf-8")
    assert decode_path(stored) == path


@given(ANY, ANY)
def test_two_paths_never_share_a_text(one: str, other: str) -> None:
    assert (encode_path(one) == encode_path(other)) == (one == other)


def test_a_usual_path_is_stored_as_it_is() -> None:
    assert encode_path("/photos/café 1%.jpg") == "/photos/café 1%.jpg"


def test_a_name_that_is_no_utf8_survives() -> None:
    path = os.fsdecode(b"/photos/caf\xe9.jpg")

    assert os.fsencode(decode_path(encode_path(path))) == b"/photos/caf\xe9.jpg"


def test_a_name_that_looks_escaped_is_not_taken_for_it() -> None:
    assert decode_path(encode_path("escaped:%41")) == "escaped:%41"


@given(ANY)
def test_readable_text_can_be_stored(text: str) -> None:
    readable(text).encode("utf-8")


@pytest.mark.parametrize("text", ["a dog", "a dog\n", " a dog \r\n", "\r\na dog"])
def test_blanks_around_a_text_do_not_change_its_hash(text: str) -> None:
    assert content_hash(text) == content_hash("a dog")


def test_newlines_of_every_system_hash_alike() -> None:
    assert content_hash("a\r\nb") == content_hash("a\rb") == content_hash("a\nb")


def test_another_text_has_another_hash() -> None:
    assert len({content_hash(t) for t in ("a dog", "a  dog", "A dog", "a dog \ud800", "")}) == 5
