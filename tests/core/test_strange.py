import pytest

from captiv.core.strange import Strange

KNOWS = "The built-in model shapes knows drawn scenes of coloured shapes and nothing else: "
OTHERS = (
    " For your pictures run the same with --model blip, or another of `captiv model list`{and_so}."
)
REPLACING = ", and --overwrite, which replaces these captions"


@pytest.mark.parametrize(
    ("others", "captions", "said"),
    [
        (778, 1200, "778 of the 1,200 captions that it made are of others and may mean nothing."),
        (1, 3, "1 of the 3 captions that it made is of another picture and may mean nothing."),
    ],
)
def test_it_says_how_many_captions_mean_nothing_and_what_to_do(
    others: int, captions: int, said: str
) -> None:
    strange = Strange("shapes", captions, others)

    assert strange.sentence(saved=True) == KNOWS + said + OTHERS.format(and_so=REPLACING)
    assert strange.sentence(saved=False) == KNOWS + said + OTHERS.format(and_so="")


def test_it_counts_each_caption() -> None:
    met = Strange("shapes").with_one(other=True).with_one(other=False).with_one(other=True)

    assert met == Strange("shapes", captions=3, others=2)
