"""Batch sizes that are found by trying, against devices that hold so many tokens and no more."""

from captiv_worker.sizes import Need, Room, Sizes
from hypothesis import given
from hypothesis import strategies as st

ROW = Need("greedy")


def tried(sizes: Sizes, room: int, batches: int = 40, need: Need = ROW) -> list[int]:
    """Run full batches on a device with room for so many tokens; return the rows that ran."""
    ran = []
    for _ in range(batches):
        rows = sizes.of(need)
        ran.append(rows)
        if rows * need.tokens <= room:
            sizes.went_well(need, rows)
        else:
            sizes.ran_out(need, rows)
    return ran


def test_a_size_grows_by_what_fitted_while_nothing_ran_out() -> None:
    assert tried(Sizes(8, 128), room=1000, batches=4) == [8, 32, 128, 128]


def test_a_batch_need_not_be_full_for_the_next_to_be_larger() -> None:
    sizes = Sizes(8, 128)

    sizes.went_well(ROW, 5)

    assert sizes.of(ROW) == 20


def test_it_turns_back_and_looks_between_what_fitted_and_what_did_not() -> None:
    assert tried(Sizes(8, 128), room=50, batches=9) == [8, 32, 128, 80, 56, 44, 50, 53, 50]


@given(st.integers(1, 200), st.integers(1, 16), st.integers(16, 256))
def test_it_settles_near_the_room_and_fails_seldom(room: int, first: int, largest: int) -> None:
    ran = tried(Sizes(first, largest), room)

    too_many = [count for count in ran if count > room]
    assert len(too_many) == len(set(too_many)) <= 8, "what ran out is not tried again"
    assert ran[-1] == ran[-2] <= max(room, 1)
    assert ran[-1] >= min(room * 7 // 8, largest)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300)), max_size=30))
def test_it_is_never_below_one_nor_above_the_largest_nor_at_what_ran_out(
    events: list[tuple[bool, int]],
) -> None:
    sizes = Sizes(8, 128)
    too_many = 1000
    for well, number in events:
        count = 1 + number % sizes.of(ROW)
        if well:
            sizes.went_well(ROW, count)
        else:
            sizes.ran_out(ROW, count)
            too_many = min(too_many, max(2, count))
        assert 1 <= sizes.of(ROW) <= min(128, too_many - 1)


def test_what_fitted_once_may_run_out_with_longer_captions() -> None:
    room = Room().went_well(16).went_well(32).ran_out(32)

    assert (room.fits, room.too_many) == (16, 32)
    assert room.ran_out(16).next < 16


def test_one_image_that_does_not_fit_leaves_one_to_be_tried() -> None:
    sizes = Sizes(1, 8)

    sizes.ran_out(ROW, 1)

    assert sizes.of(ROW) == 1


def test_what_was_found_with_some_rows_holds_for_longer_and_shorter_ones() -> None:
    sizes = Sizes(8, 128)
    short, long = Need("greedy", 100, bucket=1), Need("greedy", 1000, bucket=2)
    tried(sizes, room=20_000, need=long)

    assert sizes.of(long) == 20
    assert sizes.of(short) == 128
    assert sizes.of(Need("greedy", 200, bucket=3)) in range(90, 106)


def test_what_ran_out_elsewhere_does_not_bind_rows_of_which_as_much_fitted() -> None:
    sizes = Sizes(8, 128)
    cheap, dear = Need("greedy", 100, bucket=1), Need("greedy", 100, bucket=2)
    sizes.went_well(cheap, 30)
    sizes.ran_out(dear, 20)

    assert sizes.of(dear) < 20
    assert sizes.of(cheap) > 60


def test_shapes_are_told_apart() -> None:
    sizes = Sizes(8, 64)

    sizes.ran_out(Need("beams"), 8)
    sizes.went_well(Need("greedy"), 8)

    assert (sizes.of(Need("beams")), sizes.of(Need("greedy")), sizes.of(Need("new"))) == (4, 32, 8)
    assert sizes.now == 32


def test_images_are_wanted_for_what_the_next_batch_but_one_may_have() -> None:
    sizes = Sizes(8, 128)
    assert sizes.soon == 32

    sizes.went_well(ROW, 8)
    assert (sizes.now, sizes.soon) == (32, 128)

    sizes.ran_out(ROW, 32)
    assert sizes.now == sizes.soon < 32


def test_a_fixed_size_never_grows() -> None:
    sizes = Sizes(4)

    sizes.went_well(ROW, 4)

    assert (sizes.of(ROW), sizes.soon, sizes.largest) == (4, 4, 4)


def test_kinds_are_forgotten_before_they_fill_the_memory() -> None:
    sizes = Sizes(8)

    for kind in range(1000):
        sizes.ran_out(Need(kind), 8)

    assert (sizes.of(Need(999)), sizes.of(Need(0))) == (4, 8)
