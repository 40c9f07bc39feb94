import os

import pytest

from captiv.core.jobs import SessionId
from captiv.core.keeping import Source
from captiv.core.naming import Place
from captiv.core.texts import content_hash
from captiv.errors import StoreError
from captiv.store import Store, captions, jobs

from . import scene

PLACE = scene.place(os.fsdecode(b"/photos/caf\xe9.jpg"))
OTHER = Place(PLACE.image, os.fsdecode(b"/elsewhere/caf\xe9.caption"))
"""Another sidecar of the same image."""


def _record(store: Store, text: str, source: Source, place: Place = PLACE) -> int:
    return store.write(captions.record, place, text, content_hash(text), source, scene.NOW)


def test_every_text_of_an_image_is_remembered_in_order(store: Store) -> None:
    for text in ("first", "second", "first"):
        _record(store, text, "hand")
    _record(store, "of another", "hand", scene.place("/photos/other.jpg"))

    texts = store.read(captions.history, PLACE)

    assert [caption.text for caption in texts] == ["first", "second", "first"]
    assert store.read(captions.latest, PLACE) == texts[-1]
    assert texts[0].place == PLACE


def test_a_text_found_when_it_was_replaced_stands_before_what_replaced_it(
    store: Store, session: SessionId
) -> None:
    """Whatever the clock says, which may have been set back."""
    (job,) = scene.claim(store, scene.enqueue(store, 1), session)
    _record(store, "by hand", "hand", job.place)
    store.write(jobs.receive, [scene.answer(job, "by the model")], scene.NOW - 90_000)
    store.write(captions.record_replaced, job.place, "found", "hand", job.id, scene.NOW - 80_000)
    _record(store, "last", "hand", job.place)

    texts = [caption.text for caption in store.read(captions.history, job.place)]

    assert texts == ["by hand", "found", "by the model", "last"]


def test_an_image_without_a_text_has_none(store: Store) -> None:
    assert store.read(captions.history, PLACE) == []
    assert store.read(captions.latest, PLACE) is None
    assert not store.read(captions.has_any, PLACE)


def test_a_text_is_known_where_it_was_and_nowhere_else(store: Store) -> None:
    _record(store, "a dog", "import")

    assert store.read(captions.knows, PLACE, content_hash("a dog\n"))
    assert not store.read(captions.knows, PLACE, content_hash("a cat"))
    assert not store.read(captions.knows, scene.place("/photos/other.jpg"), content_hash("a dog"))


def test_the_texts_of_another_sidecar_are_not_its_own(store: Store) -> None:
    _record(store, "in the .txt", "hand")
    _record(store, "in the .caption", "import", OTHER)

    assert [text.text for text in store.read(captions.history, PLACE)] == ["in the .txt"]
    assert [text.text for text in store.read(captions.history, OTHER)] == ["in the .caption"]
    latest = store.read(captions.latest, PLACE)
    assert latest is not None
    assert latest.text == "in the .txt"
    assert not store.read(captions.knows, PLACE, content_hash("in the .caption"))
    assert store.read(captions.id_of, PLACE, content_hash("in the .caption")) is None
    assert store.read(captions.sources, [OTHER]) == {
        OTHER: [(content_hash("in the .caption"), "import", None)]
    }
    assert [news.place for news in store.read(captions.since, 0, 9)] == [PLACE, OTHER]


def test_a_text_found_in_another_sidecar_is_no_edit_by_hand(store: Store) -> None:
    _record(store, "captiv's own", "hand")

    store.write(captions.record_found, OTHER, "found", scene.NOW)

    assert [text.source for text in store.read(captions.history, OTHER)] == ["import"]


def test_many_images_are_looked_up_at_once(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 2)
    one, other = scene.claim(store, run, session)
    scene.receive(store, [one], "a dog")
    _record(store, "my dog", "hand", one.place)
    _record(store, "an old text", "import", PLACE)

    found = store.read(captions.sources, [PLACE, one.place, other.place, one.place])

    assert found == {
        PLACE: [(content_hash("an old text"), "import", None)],
        one.place: [
            (content_hash("a dog"), "model", one.id),
            (content_hash("my dog"), "hand", None),
        ],
    }
    assert store.read(captions.hashes, [PLACE, other.place]) == {
        PLACE: {content_hash("an old text")}
    }
    assert store.read(captions.sources, []) == {}


def test_the_captions_of_a_run_are_counted_by_second(store: Store, session: SessionId) -> None:
    run, other = scene.enqueue(store, 3), scene.enqueue(store, 1, scene.request("/other"))
    one, two, three = scene.claim(store, run, session)
    for job, at_ms in ((one, 1_200), (two, 1_900), (three, 4_000)):
        store.write(jobs.receive, [scene.answer(job)], at_ms)
    scene.receive(store, scene.claim(store, other, session))

    assert store.read(captions.per_second, run.id) == [(1_000, 2), (4_000, 1)]
    assert store.read(captions.per_second, run.id, 2) == [(1_000, 1), (4_000, 1)]


@pytest.mark.parametrize("change", ["UPDATE captions SET text='x'", "DELETE FROM captions"])
def test_captions_are_appended_only(store: Store, change: str) -> None:
    _record(store, "a dog", "hand")

    with pytest.raises(StoreError, match="append-only"):
        store.write(lambda conn: conn.execute(change))

    assert [caption.text for caption in store.read(captions.history, PLACE)] == ["a dog"]
