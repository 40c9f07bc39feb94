from collections.abc import Iterator

import pytest
from captiv_worker.batcher import Batch, Batcher, Permits, default_permits
from captiv_worker.sizes import Sizes
from hypothesis import given
from hypothesis import strategies as st

Arrivals = st.lists(st.sampled_from("abc"), max_size=40)


def filled(arrivals: list[str], max_batch: int) -> Batcher[str, int]:
    batcher: Batcher[str, int] = Batcher(Sizes(max_batch))
    for number, asking in enumerate(arrivals):
        batcher.add(asking, number)
    return batcher


def closed(batcher: Batcher[str, int]) -> Iterator[Batch[str, int]]:
    while (batch := batcher.close()) is not None:
        yield batch


@given(Arrivals, st.integers(1, 8))
def test_a_batch_never_mixes_askings_and_never_exceeds_the_largest(
    arrivals: list[str], max_batch: int
) -> None:
    for batch in closed(filled(arrivals, max_batch)):
        assert {arrivals[number] for number in batch.items} == {batch.asking}
        assert 1 <= len(batch.items) <= max_batch


@given(Arrivals, st.integers(1, 8))
def test_every_item_comes_out_once_and_in_order_within_its_asking(
    arrivals: list[str], max_batch: int
) -> None:
    came = [number for batch in closed(filled(arrivals, max_batch)) for number in batch.items]

    assert sorted(came) == list(range(len(arrivals)))
    for asking in set(arrivals):
        own = [number for number in came if arrivals[number] == asking]
        assert own == sorted(own)


@given(Arrivals, Arrivals, st.integers(1, 8))
def test_the_oldest_item_is_always_in_the_next_batch(
    first: list[str], later: list[str], max_batch: int
) -> None:
    batcher = filled(first, max_batch)
    waiting = set(range(len(first)))
    for number, asking in enumerate(later, start=len(first)):
        batcher.add(asking, number)
        waiting.add(number)
        batch = batcher.close()
        assert batch is not None
        assert min(waiting) in batch.items
        waiting -= set(batch.items)


def test_out_of_memory_makes_batches_of_that_asking_smaller_and_no_others() -> None:
    batcher = filled(["a"] * 8 + ["b"] * 8, max_batch=8)

    batcher.ran_out("a", 8)

    assert [len(batch.items) for batch in closed(batcher)] == [4, 4, 8]


def test_askings_of_one_kind_share_what_was_found() -> None:
    batcher: Batcher[str, int] = Batcher(Sizes(4, 64), kind=len)
    for number in range(16):
        batcher.add("ab", number)

    batcher.went_well("xy", 4)

    assert [len(batch.items) for batch in closed(batcher)] == [8, 8]


def test_an_empty_batcher_has_no_batch() -> None:
    assert Batcher[str, int](Sizes(4)).close() is None


@given(st.integers(1, 20), st.lists(st.booleans(), max_size=60))
def test_permits_are_never_more_than_there_are(total: int, takes: list[bool]) -> None:
    permits = Permits(total)
    held = 0
    for take in takes:
        if take:
            assert permits.take() is (held < total)
            held = min(total, held + 1)
        elif held:
            permits.give()
            held -= 1


def test_a_permit_given_back_twice_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        Permits(1).give()


def test_permits_cover_three_batches_and_at_least_four_images() -> None:
    assert default_permits(1) == 4
    assert default_permits(32) == 96
