import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core.naming import (
    IMAGE_EXTENSIONS,
    Naming,
    checked_extension,
    collisions,
    is_image_name,
    sidecar_path,
    spellings,
)
from captiv.core.spec import Output
from captiv.errors import UsageError

STEM, FULL = Output().sidecar_of, Output(naming="full").sidecar_of


@pytest.mark.parametrize(
    ("image", "stem", "full"),
    [
        ("a.jpg", "a.txt", "a.jpg.txt"),
        ("/x.y/a.b.JPG", "/x.y/a.b.txt", "/x.y/a.b.JPG.txt"),
        ("/x.y/a", "/x.y/a.txt", "/x.y/a.txt"),
        ("/x/.jpg", "/x/.jpg.txt", "/x/.jpg.txt"),
        ("/x/..jpg", "/x/..jpg.txt", "/x/..jpg.txt"),
        ("/x/a\n b'\"😀\udcff.png", "/x/a\n b'\"😀\udcff.txt", "/x/a\n b'\"😀\udcff.png.txt"),
    ],
)
def test_a_sidecar_lies_beside_its_image(image: str, stem: str, full: str) -> None:
    assert sidecar_path(image) == stem
    assert sidecar_path(image, naming="full") == full


@pytest.mark.parametrize("image", ["notes.txt", "notes.TXT", "a.caption"])
@pytest.mark.parametrize("naming", ["stem", "full"])
def test_a_sidecar_is_never_the_image_itself(image: str, naming: Naming) -> None:
    extension = "." + image.rpartition(".")[2].lower()
    assert sidecar_path(image, extension=extension, naming=naming) == image + extension


@given(
    name=st.text(st.characters(exclude_characters="/\0"), min_size=1),
    naming=st.sampled_from(["stem", "full"]),
)
def test_any_name_gives_another_name_in_the_same_folder(name: str, naming: Naming) -> None:
    path = sidecar_path(f"/pictures/{name}", naming=naming)
    assert path != f"/pictures/{name}"
    assert path.startswith("/pictures/")
    assert path.count("/") == 2
    assert path.endswith(".txt")


def test_images_that_would_share_a_sidecar_are_named_in_order() -> None:
    names = ["a.jpg", "a.png", "b.jpg", "A.webp"]
    assert collisions(names, STEM) == {"a.txt": ["a.jpg", "a.png"]}
    assert collisions(names, STEM, ignore_case=True) == {"a.txt": ["a.jpg", "a.png", "A.webp"]}
    assert collisions(names, FULL) == {}


def test_accents_stored_in_two_ways_collide() -> None:
    """Whatever the disk says: captiv takes their sidecars for one."""
    assert len(collisions(["e\u0301.jpg", "\u00e9.png"], STEM)) == 1
    assert len(collisions(["e\u0301.jpg", "\u00e9.png"], STEM, ignore_case=True)) == 1


@pytest.mark.parametrize(
    ("text", "extension"),
    [(".txt", ".txt"), ("caption", ".caption"), (" .cap ", ".cap"), ("tags.txt", ".tags.txt")],
)
def test_an_extension_is_taken_with_or_without_its_dot(text: str, extension: str) -> None:
    assert checked_extension(text) == extension


@pytest.mark.parametrize("text", ["", ".", "a/b", "a\\b", "a\0", "a\nb", "txt.", "a:b", "../x"])
def test_what_cannot_end_a_file_name_is_no_extension(text: str) -> None:
    with pytest.raises(UsageError, match="cannot end a file name"):
        checked_extension(text)


@pytest.mark.parametrize("extension", sorted(IMAGE_EXTENSIONS))
def test_an_images_extension_is_refused(extension: str) -> None:
    with pytest.raises(UsageError, match="would replace images"):
        checked_extension(extension.upper())


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "/x/a.b.Tiff", "a.avif", "._a.jpg"])
def test_image_names_are_told_by_their_ending_in_any_case(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a", "jpg", ".jpg", "a.jpg.txt", "a.psd", "a.jpg/b", ""])
def test_other_names_are_not(name: str) -> None:
    assert not is_image_name(name)


@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("/p/a.txt", {"/p/a.TXT", "/p/a.Txt"}),
        ("a.CAPTION", {"a.caption", "a.Caption"}),
        (
            "/E/\u00e9.txt",
            {f"/E/{e}.{x}" for e in ("\u00e9", "e\u0301") for x in ("txt", "TXT", "Txt")},
        ),
        ("/\u00e9/a.txt", {"/\u00e9/a.TXT", "/\u00e9/a.Txt"}),
        ("/p/A.b.txt", {"/p/A.b.TXT", "/p/A.b.Txt"}),
        ("\udce9.txt", {"\udce9.TXT", "\udce9.Txt"}),
    ],
)
def test_the_spellings_of_a_sidecar_vary_its_extension_and_accents(
    path: str, others: set[str]
) -> None:
    found = spellings(path)

    assert found[0] == path
    assert set(found[1:]) == others - {path}
