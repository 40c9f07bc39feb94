import os

import pytest

from captiv.core.jobs import SessionId
from captiv.core.keeping import Source
from captiv.core.texts import content_hash
from captiv.errors import StoreError
from captiv.store import Store, captions

from . import scene

PATH = os.fsdecode(b"/photos/caf\xe9.jpg")


def _record(store: Store, text: str, source: Source, path: str = PATH) -> int:
    return store.write(captions.record, path, text, content_hash(text), source, scene.NOW)


def test_every_text_of_an_image_is_remembered_in_order(store: Store) -> None:
    for text in ("first", "second", "first"):
        _record(store, text, "hand")
    _record(store, "of another", "hand", "/photos/other.jpg")

    texts = store.read(captions.history, PATH)

    assert [caption.text for caption in texts] == ["first", "second", "first"]
    assert store.read(captions.latest, PATH) == texts[-1]
    assert texts[0].path == PATH


def test_an_image_without_a_text_has_none(store: Store) -> None:
    assert store.read(captions.history, PATH) == []
    assert store.read(captions.latest, PATH) is None
    assert not store.read(captions.has_any, PATH)


def test_a_text_is_known_where_it_was_and_nowhere_else(store: Store) -> None:
    _record(store, "a dog", "import")

    assert store.read(captions.knows, PATH, content_hash("a dog\n"))
    assert not store.read(captions.knows, PATH, content_hash("a cat"))
    assert not store.read(captions.knows, "/photos/other.jpg", content_hash("a dog"))


def test_many_images_are_looked_up_at_once(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 2)
    one, other = scene.claim(store, run, session)
    scene.receive(store, [one], "a dog")
    _record(store, "my dog", "hand", one.path)
    _record(store, "an old text", "import", PATH)

    found = store.read(captions.sources, [PATH, one.path, other.path, one.path])

    assert found == {
        PATH: [(content_hash("an old text"), "import", None)],
        one.path: [
            (content_hash("a dog"), "model", one.id),
            (content_hash("my dog"), "hand", None),
        ],
    }
    assert store.read(captions.hashes, [PATH, other.path]) == {PATH: {content_hash("an old text")}}
    assert store.read(captions.sources, []) == {}


@pytest.mark.parametrize("change", ["UPDATE captions SET text='x'", "DELETE FROM captions"])
def test_captions_are_appended_only(store: Store, change: str) -> None:
    _record(store, "a dog", "hand")

    with pytest.raises(StoreError, match="append-only"):
        store.write(lambda conn: conn.execute(change))

    assert [caption.text for caption in store.read(captions.history, PATH)] == ["a dog"]
