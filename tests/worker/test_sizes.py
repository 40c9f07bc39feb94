"""Batch sizes that are found by trying, against devices that hold so many images and no more."""

from captiv_worker.sizes import Size, Sizes
from hypothesis import given
from hypothesis import strategies as st


def tried(size: Size, room: int, batches: int = 40) -> tuple[Size, list[int]]:
    """Run full batches on a device with room for so many images; return the sizes that ran."""
    ran = []
    for _ in range(batches):
        ran.append(size.now)
        size = size.went_well(size.now) if size.now <= room else size.ran_out(size.now)
    return size, ran


def test_a_size_doubles_while_full_batches_go_well() -> None:
    _, ran = tried(Size(8, 128), room=1000, batches=6)

    assert ran == [8, 16, 32, 64, 128, 128]


def test_a_batch_that_was_not_full_says_nothing_about_a_larger_one() -> None:
    assert Size(8, 128).went_well(5).now == 8


def test_it_turns_back_and_looks_between_what_fitted_and_what_did_not() -> None:
    _, ran = tried(Size(8, 128), room=50, batches=9)

    assert ran == [8, 16, 32, 64, 32, 48, 56, 48, 48]


@given(st.integers(1, 200), st.integers(1, 16), st.integers(16, 256))
def test_it_settles_near_the_room_and_fails_seldom(room: int, first: int, largest: int) -> None:
    size, ran = tried(Size(first, largest), room)

    too_many = [count for count in ran if count > room]
    assert len(too_many) == len(set(too_many)) <= 8, "what ran out is not tried again"
    assert ran[-1] == ran[-2] == size.now <= max(room, 1)
    assert size.now >= min(room * 3 // 4, largest)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300)), max_size=30))
def test_it_is_never_below_one_nor_above_the_largest_nor_at_what_ran_out(
    events: list[tuple[bool, int]],
) -> None:
    size = Size(8, 128)
    for well, number in events:
        count = 1 + number % size.now
        size = size.went_well(count) if well else size.ran_out(count)
        assert 1 <= size.now <= 128
        assert size.too_many is None or size.now < size.too_many


def test_what_fitted_once_may_run_out_with_longer_captions() -> None:
    size = Size(16, 64).went_well(16).went_well(32).ran_out(32)

    assert (size.now, size.too_many) == (16, 32)
    assert size.ran_out(16).now == 8


def test_one_image_that_does_not_fit_leaves_one_to_be_tried() -> None:
    assert Size(1, 8).ran_out(1).now == 1


def test_kinds_are_told_apart() -> None:
    sizes = Sizes(8, 64)

    sizes.ran_out("many tokens", 8)
    sizes.went_well("few tokens", 8)

    assert (sizes.of("many tokens"), sizes.of("few tokens"), sizes.of("new")) == (4, 16, 8)
    assert sizes.now == 16


def test_a_fixed_size_never_grows() -> None:
    sizes = Sizes(4)

    sizes.went_well("a", 4)

    assert (sizes.of("a"), sizes.largest) == (4, 4)


def test_kinds_are_forgotten_before_they_fill_the_memory() -> None:
    sizes = Sizes(8)

    for kind in range(1000):
        sizes.ran_out(kind, 8)

    assert (sizes.of(999), sizes.of(0)) == (4, 8)
