from hypothesis import given
from hypothesis import strategies as st

from captiv.core.keeping import Keeping, Source, keeping
from captiv.core.spec import Overwrite

HASHES = st.sampled_from("abc")
SOURCES: st.SearchStrategy[Source] = st.sampled_from(["model", "hand", "import"])
KNOWN = st.dictionaries(HASHES, SOURCES)
OVERWRITE: st.SearchStrategy[Overwrite] = st.sampled_from(["no", "yes", "all"])


@given(HASHES, KNOWN)
def test_a_text_that_is_there_stays_unless_overwriting_was_asked_for(
    there: str, known: dict[str, Source]
) -> None:
    assert keeping(there, known, "no") is Keeping.KEEP


@given(KNOWN, OVERWRITE)
def test_an_empty_file_is_no_caption(known: dict[str, Source], overwrite: Overwrite) -> None:
    assert keeping(None, known, overwrite) is Keeping.REPLACE


@given(HASHES, KNOWN)
def test_all_replaces_everything_and_loses_nothing(there: str, known: dict[str, Source]) -> None:
    decided = keeping(there, known, "all")

    assert decided is (Keeping.REPLACE if there in known else Keeping.RECORD_AND_REPLACE)


@given(HASHES, KNOWN)
def test_yes_never_replaces_a_persons_words(there: str, known: dict[str, Source]) -> None:
    by_hand = known.get(there) == "hand"
    edited = there not in known and any(s != "import" for s in known.values())

    assert (keeping(there, known, "yes") is Keeping.KEEP) == (by_hand or edited)


@given(HASHES, KNOWN, OVERWRITE)
def test_a_text_unknown_to_captiv_is_never_replaced_unrecorded(
    there: str, known: dict[str, Source], overwrite: Overwrite
) -> None:
    if there not in known:
        assert keeping(there, known, overwrite) is not Keeping.REPLACE
