import random
from collections.abc import Iterator, Sequence
from itertools import islice

import pytest
from captiv_worker.batcher import (
    PATIENCE,
    Batch,
    Batcher,
    Permits,
    bucket_of,
    default_permits,
)
from captiv_worker.sizes import Need, Sizes
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
def test_askings_take_turns(first: list[str], later: list[str], max_batch: int) -> None:
    """Of three askings, none that waits is passed over by more than two batches."""
    batcher = filled(first, max_batch)
    waiting, passed = list(first), dict.fromkeys("abc", 0)
    for number, asking in enumerate(later, start=len(first)):
        batcher.add(asking, number)
        waiting.append(asking)
        batch = batcher.close()
        assert batch is not None
        for _ in batch.items:
            waiting.remove(batch.asking)
        for each in "abc":
            passed[each] = passed[each] + 1 if each in waiting and each != batch.asking else 0
        assert max(passed.values()) <= 2


def test_out_of_memory_makes_batches_of_that_asking_smaller_and_no_others() -> None:
    batcher = filled(["a"] * 8 + ["b"] * 8, max_batch=8)

    batcher.sizes.ran_out(Need("a"), 8)

    assert [len(batch.items) for batch in closed(batcher)] == [4, 8, 4]


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


def test_permits_cover_three_batches_and_more_where_images_are_mixed() -> None:
    assert default_permits(1) == 4
    assert default_permits(32) == 96
    assert default_permits(32, mixed=4) == 192


# Rows of different length


def row(tokens: int) -> Need:
    return Need("greedy", tokens, bucket_of(tokens))


def mixed(tokens: Sequence[int], rows: int = 4) -> Batcher[str, int]:
    """Return a batcher in which rows of these lengths wait, and batches stay as large."""
    batcher: Batcher[str, int] = Batcher(Sizes(rows))
    for count in tokens:
        batcher.add("a", count, row(count))
    return batcher


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_rows_of_one_bucket_are_at_most_a_quarter_apart(one: int, other: int) -> None:
    shorter, longer = sorted((one, other))

    assert bucket_of(shorter) <= bucket_of(longer)
    if bucket_of(shorter) == bucket_of(longer):
        assert longer <= 1.25 * shorter + 1e-6


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60), st.integers(1, 8))
def test_no_row_is_filled_up_to_twice_its_length_unless_it_is_due(
    tokens: list[int], rows: int
) -> None:
    """Fewer batches than an image has patience for."""
    batcher = mixed(tokens, rows)

    came = [list(batch.items) for batch in islice(closed(batcher), PATIENCE)]

    assert all(max(items) <= 1.25**3 * min(items) + 1e-6 for items in came)
    assert all(len(items) <= rows for items in came)


def test_the_fullest_bucket_goes_first_and_a_part_of_one_when_nothing_is_fuller() -> None:
    batcher = mixed([1000, 100, 101, 102, 103, 1001])

    assert [batch.items for batch in closed(batcher)] == [(100, 101, 102, 103), (1000, 1001)]


def test_a_batch_that_is_not_full_takes_in_rows_that_are_a_little_shorter() -> None:
    batcher = mixed([1000, 800, 1001, 300])

    assert [batch.items for batch in closed(batcher)] == [(1000, 1001, 800), (300,)]


def test_a_batch_has_as_many_rows_as_the_memory_holds_of_the_longest() -> None:
    batcher: Batcher[str, int] = Batcher(Sizes(1, 64))
    batcher.sizes.went_well(row(1000), 4)
    batcher.sizes.ran_out(row(1000), 5)
    for count in (815, 820, 990, 825, 830, 835):
        batcher.add("a", count, row(count))

    first, second = closed(batcher)

    assert first.items == (815, 820, 990, 825), "of 835 five would fit, of 990 four"
    assert first.need(range(4)) == Need("greedy", 990, bucket_of(990))
    assert first.need(range(2)) == Need("greedy", 820, bucket_of(990))
    assert len(second.items) == 2


@pytest.mark.parametrize("rare", [10, 100, 5000])
def test_an_image_in_a_rare_bucket_is_passed_over_so_many_times_and_no_more(rare: int) -> None:
    batcher = mixed([rare])
    waited = 0
    while waited <= PATIENCE:
        for _ in range(4):
            batcher.add("a", 1000, row(1000))
        batch = batcher.close()
        assert batch is not None
        if rare in batch.items:
            break
        waited += 1

    assert waited == PATIENCE
    assert batch is not None
    assert batch.items == ((rare, 1000, 1000, 1000) if rare < 1000 else (rare,))


def test_guests_are_at_most_a_quarter_of_a_batch_and_the_oldest_go_first() -> None:
    batcher = mixed([10, 11, 12, 13, 14], rows=8)
    for _ in range(PATIENCE):
        for _ in range(8):
            batcher.add("a", 1000, row(1000))
        batcher.close()
    for _ in range(8):
        batcher.add("a", 1000, row(1000))

    batch = batcher.close()

    assert batch is not None
    assert batch.items == (10, 11, *[1000] * 6)


def fitting(rows: dict[int, int]) -> Sizes:
    """Return sizes that allow so many rows of so many tokens, each in a bucket of its own."""
    sizes = Sizes(1, 128)
    for tokens, count in rows.items():
        sizes.went_well(row(tokens), count)
        sizes.ran_out(row(tokens), count + 1)
    assert {tokens: sizes.of(row(tokens)) for tokens in rows} == rows
    return sizes


def waits(sizes: Sizes, rare: int, crowded: list[int]) -> int:
    """Return how many batches pass a rare row over while `crowded` wait and are replaced."""
    batcher: Batcher[str, int] = Batcher(sizes)
    for tokens in [*crowded, rare]:
        batcher.add("a", tokens, row(tokens))
    for passed in range(400):
        batch = batcher.close()
        assert batch is not None
        if rare in batch.items:
            return passed
        for tokens in batch.items:
            batcher.add("a", tokens, row(tokens))
    raise AssertionError("it starves")


def test_a_rare_image_is_served_behind_a_crowd_that_is_always_due() -> None:
    """The crowd takes more batches than an image has patience for."""
    assert waits(fitting({2000: 12, 1600: 15, 100: 128}), 1600, [2000] * 300) == 300 // 12


@pytest.mark.parametrize(("small", "fitting_small"), [(100, 128), (1600, 3)])
def test_small_images_are_no_guests_of_large_ones_that_fit_one_by_one(
    small: int, fitting_small: int
) -> None:
    batcher: Batcher[str, int] = Batcher(fitting({2000: 1, small: fitting_small}))
    for tokens in [small] * 2 + [2000] * 20:
        batcher.add("a", tokens, row(tokens))

    batches = [batch.items for batch in islice(closed(batcher), PATIENCE + 1)]

    assert batches == [(2000,)] * PATIENCE + [(small,) * 2]


@pytest.mark.parametrize("seed", range(20))
def test_no_image_waits_for_ever(seed: int) -> None:
    """Once its patience ends, each batch takes at least one of those that came before it."""
    dice = random.Random(seed)
    lengths = [100, 130, 170, 220, 280, 500, 1000, 1300, 1600, 2000]
    rows = {n: dice.choice([1, 1, 2, 3, 4, 8, 12, 40]) for n in dice.sample(lengths, 5)}
    shares = [dice.random() ** 4 for _ in rows]
    batcher: Batcher[str, int] = Batcher(fitting(rows))
    arrived, last = 0, dict[int, int]()
    for batches in range(150):
        while len(batcher) < 60:
            (tokens,) = dice.choices(list(rows), shares)
            last[arrived] = batches + PATIENCE + len(batcher)
            batcher.add("a", arrived, row(tokens))
            arrived += 1
        batch = batcher.close()
        assert batch is not None
        assert all(last.pop(number) >= batches for number in batch.items)
        assert all(limit > batches for limit in last.values())


def test_how_many_are_held_goes_by_what_came_lately() -> None:
    """One folder of thumbnails, and then one of photos."""
    batcher: Batcher[str, int] = Batcher(fitting({2000: 8, 100: 128}))
    for _ in range(512):
        batcher.add("a", 100, row(100))
    assert (batcher.max_batch, batcher.crowd) == (128, 3 * 128)

    for _ in range(256):
        batcher.add("a", 2000, row(2000))
    assert (batcher.max_batch, batcher.crowd) == (15, 4 * 68), "512 such take 34 batches"

    for _ in range(256):
        batcher.add("a", 2000, row(2000))
    assert (batcher.max_batch, batcher.crowd) == (8, 3 * 8)


def test_what_came_for_another_model_does_not_count() -> None:
    batcher = mixed([10, 20, 40, 80])

    batcher.begin(Sizes(4))

    assert batcher.crowd == 3 * 4


def test_more_images_are_held_the_more_mixed_they_come() -> None:
    assert mixed([1000] * 9).crowd == 12
    assert mixed([1000, 100]).crowd == 16
    assert mixed([10, 20, 40, 80, 160, 320, 640]).crowd == 24

    calm = mixed([10, 1000])
    for _ in range(512):
        calm.add("a", 1000, row(1000))
    assert calm.crowd == 12
