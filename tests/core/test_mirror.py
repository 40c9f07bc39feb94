"""Where sidecars go that mirror the folders of their images: nothing shares a place."""

from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from captiv.core.mirror import candidates, checked_folders, mirrored_path, outermost
from captiv.core.spec import Output
from captiv.errors import UsageError

NAME = st.sampled_from(["a", "b", "A", "c.d"])
FOLDER = st.lists(NAME, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


def inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


@given(st.lists(FOLDER, min_size=1, max_size=5))
def test_the_outermost_folders_hold_all_and_none_holds_another(folders: list[str]) -> None:
    found = outermost(folders)

    assert all(any(f == o or inside(f, o) for o in found) for f in folders)
    assert not any(inside(a, b) or inside(b, a) for a, b in combinations(found, 2))


@pytest.mark.slow
@given(
    st.lists(FOLDER, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.lists(NAME, min_size=1, max_size=3)), max_size=8),
)
def test_no_two_images_share_a_sidecar_and_each_is_in_the_directory(
    folders: list[str], images: list[tuple[int, list[str]]]
) -> None:
    try:
        mirrored = checked_folders(folders, "/out")
    except UsageError:
        assume(False)
    output = Output(directory="/out", folders=mirrored, naming="full")
    paths = {f"{folders[at % len(folders)]}/{'/'.join(parts)}.png" for at, parts in images}

    sidecars = [output.sidecar_of(path) for path in paths]

    assert len(set(sidecars)) == len(paths)
    assert all(inside(sidecar, "/out") for sidecar in sidecars)
    assert all(s in candidates(f"{p}.txt", "/out") for p, s in zip(paths, sidecars, strict=True))


def test_the_tree_of_one_folder_stands_in_the_directory_and_several_have_a_name() -> None:
    one = Output(directory="/out", folders=("/data/cats",))
    two = Output(directory="/out", folders=("/data/cats", "/more/dogs"))

    assert one.sidecar_of("/data/cats/deep/a.png") == "/out/deep/a.txt"
    assert two.sidecar_of("/data/cats/deep/a.png") == "/out/cats/deep/a.txt"
    assert two.sidecar_of("/more/dogs/a.png") == "/out/dogs/a.txt"
    assert checked_folders(["/data/cats/deep", "/data/cats"], "/out") == ("/data/cats",)


def test_a_folder_that_mirrors_itself_has_its_sidecars_beside_the_images() -> None:
    assert mirrored_path("/data/cats/deep/a.txt", "/data/cats", ["/data/cats"]) == (
        "/data/cats/deep/a.txt"
    )
    assert mirrored_path("/deep/a.txt", "/out", ["/"]) == "/out/deep/a.txt"


@pytest.mark.parametrize("other", ["/b/cats", "/b/Cats"])
def test_folders_of_one_name_are_refused_by_both_their_paths(other: str) -> None:
    with pytest.raises(UsageError, match=f"of /a/cats and {other} would both go into /out/"):
        checked_folders(["/a/cats", other], "/out")
