"""Labelled answers, made from kinds and seeds that are frozen: what the guard is judged by.

`FIRST` was written and committed before the guard was, `SECOND` afterwards and with other answers
in mind, the smaller `THIRD` when the guard had learnt from the second, and `FOURTH` and `FIFTH`, a
few texts written by hand, when it had learnt from those before. `SIXTH` was written by hand, in
twelve languages, before the guard had rules for the kinds of fault in it, and `SEVENTH` before it
knew transcriptions from captions. Nothing of them is changed; tests/core/test_answer_set.py holds
the digests. `FAMILIES` has what each family of models
writes when all is well.

The first three are composed from parts, so that hardly two are alike, and a good kind stands
against each bad one: quoted repetition against loops, scenes in which somebody refuses against
refusals, texts cut by the user's own limit against cut ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from . import bad, by_hand, glitches, good, last, later_bad, later_good, prose, tags, tongues
from .dice import Dice
from .sample import Label, Sample

__all__ = [
    "FAMILIES",
    "FIFTH",
    "FIRST",
    "FOURTH",
    "SECOND",
    "SEVENTH",
    "SIXTH",
    "THIRD",
    "Kind",
    "Sample",
    "samples",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of writing answers, how many of them, and how they end."""

    name: str
    label: Label
    write: Callable[[Dice], str]
    count: int
    at_length: float = 0.0
    """Share of answers that the limit ended."""
    limited_by_user: float = 0.0
    """Share of answers whose limit the user set; whatever the limit ended, if not `cut off`, is."""


FIRST = (
    Kind("short", "good", prose.short, 300),
    Kind("toy", "good", good.toy, 150),
    Kind("paragraph", "good", prose.paragraph, 500, limited_by_user=0.3),
    Kind("structured", "good", good.structured, 250),
    Kind("tags", "good", lambda dice: tags.written(dice, tags.tags(dice)), 400),
    Kind("generator prompt", "good", good.stable_diffusion, 100),
    Kind("figures", "good", good.figures, 120),
    Kind("other scripts", "good", lambda dice: tongues.say(dice, 1, 6), 250),
    Kind("emphatic", "good", good.emphatic, 150),
    Kind("quoted repetition", "good", good.quoting, 300),
    Kind("scene of refusal", "good", good.scene_of_refusal, 200),
    Kind("post", "good", good.post, 150),
    Kind("marks", "good", good.marked, 150),
    Kind("cut by the user's limit", "good", bad.stopped_short, 250, 1.0, 1.0),
    Kind("loop of a word", "looping", bad.loop_word, 250, 0.5),
    Kind("loop of a phrase", "looping", bad.loop_phrase, 250, 0.5),
    Kind("loop of a sentence", "looping", bad.loop_sentence, 150, 0.5),
    Kind("loop of tags", "looping", bad.loop_tags, 150, 0.5),
    Kind("loop of punctuation", "looping", bad.loop_punctuation, 150, 0.5),
    Kind("loop of characters", "looping", bad.loop_characters, 100, 0.5),
    Kind("loop without blanks", "looping", bad.loop_dense, 150, 0.5),
    Kind("loop in a quotation", "looping", bad.loop_quoted, 100, 0.5),
    Kind("cut", "cut off", bad.stopped_short, 300, 1.0),
    Kind("refusal", "refusing", bad.refusal, 400, limited_by_user=0.3),
    Kind("empty", "empty", bad.empty, 150, limited_by_user=0.3),
)

SECOND = (
    Kind("markdown", "good", later_good.markdown, 200),
    Kind("list of the nearly same", "good", later_good.inventory, 150),
    Kind("poem with a refrain", "good", later_good.poem, 200),
    Kind("pattern", "good", later_good.pattern, 250),
    Kind("transcript", "good", later_good.transcript, 250),
    Kind("table", "good", later_good.table, 100),
    Kind("JSON", "good", later_good.as_json, 150),
    Kind("sounds", "good", later_good.sung, 200),
    Kind("cumulative", "good", later_good.cumulative, 100),
    Kind("what is not to be seen", "good", later_good.unseen, 300),
    Kind("other languages", "good", later_good.european, 250),
    Kind("hash tags", "good", later_good.hashtags, 100),
    Kind("shades", "good", later_good.shades, 150),
    Kind("essay", "good", later_good.essay, 150),
    Kind("cut by the user's limit", "good", later_bad.stopped_short, 150, 1.0, 1.0),
    Kind("loop that counts", "looping", later_bad.counted, 150, 0.5),
    Kind("loop that counts in words", "looping", later_bad.ordinals, 80, 0.5),
    Kind("loop of two sentences", "looping", later_bad.alternating, 120, 0.5),
    Kind("loop in no order", "looping", later_bad.shuffled, 100, 0.5),
    Kind("nested", "looping", later_bad.nested, 100, 0.5),
    Kind("loop of changing looks", "looping", later_bad.unsteady, 100, 0.5),
    Kind("loop that was left", "looping", later_bad.left_again, 100),
    Kind("loop that was closed", "looping", later_bad.closed, 100),
    Kind("loop of bullets", "looping", later_bad.bullets, 100, 0.5),
    Kind("loop of emoji", "looping", later_bad.emoji, 80, 0.5),
    Kind("loop in another script", "looping", later_bad.spoken, 150, 0.5),
    Kind("refusal", "refusing", later_bad.polite, 250),
    Kind("refusal in another language", "refusing", later_bad.abroad, 200),
    Kind("half a refusal", "refusing", later_bad.half, 120),
    Kind("nothing", "empty", later_bad.nothing, 100),
    Kind("cut", "cut off", later_bad.stopped_short, 150, 1.0),
)

THIRD = (
    Kind("plain", "good", last.plain, 60),
    Kind("as GIT writes", "good", last.git_like, 90),
    Kind("Midjourney prompt", "good", last.midjourney, 80),
    Kind("weighted tags", "good", last.weighted, 80),
    Kind("art critic", "good", last.critic, 100),
    Kind("product listing", "good", last.listing, 80),
    Kind("grounded", "good", last.grounded, 80),
    Kind("notation", "good", last.notation, 200),
    Kind("first person", "good", last.speaking, 230),
    Kind("suit and tie", "looping", last.suit_and_tie, 80, 0.5),
    Kind("boxes", "looping", last.boxes, 60, 0.5),
    Kind("numbered tags", "looping", last.numbered_tags, 60, 0.5),
    Kind("second thoughts", "looping", last.second_thoughts, 60, 0.5),
    Kind("markup", "looping", last.markup, 60, 0.5),
    Kind("growing", "looping", last.growing, 40, 0.5),
    Kind("switching languages", "looping", last.switching, 60, 0.5),
    Kind("refusal in models' own voices", "refusing", last.voices, 140),
    Kind("blank", "empty", last.blank, 40),
)

_BY_HAND: tuple[tuple[str, Label, tuple[str, ...], float], ...] = (
    ("caption", "good", by_hand.CAPTIONS, 0.0),
    ("near a refusal", "good", by_hand.NEAR, 0.0),
    ("loop", "looping", by_hand.LOOPS, 0.5),
    ("refusal", "refusing", by_hand.REFUSALS, 0.0),
    ("nothing", "empty", by_hand.NOTHING, 0.0),
    ("cut", "cut off", by_hand.CUT, 1.0),
)

FOURTH = tuple(
    Kind(name, label, partial(Dice.next_of, items=texts), len(texts), at_length)
    for name, label, texts, at_length in _BY_HAND
)

FIFTH = (
    Kind("near a refusal", "good", partial(Dice.next_of, items=by_hand.AGAIN_NEAR), 40),
    Kind("refusal", "refusing", partial(Dice.next_of, items=by_hand.AGAIN_REFUSALS), 40),
)

SIXTH = glitches.read(glitches.GLITCHES)

SEVENTH = glitches.read(glitches.TRANSCRIPTS)

FAMILIES = glitches.read_families()


def samples(kinds: tuple[Kind | Sample, ...], seed: str) -> Iterator[Sample]:
    """Yield the answers of these kinds, always the same ones for a seed; a sample is its own."""
    for kind in kinds:
        if isinstance(kind, Sample):
            yield kind
            continue
        for index in range(kind.count):
            dice = Dice(f"{seed}/{kind.name}/{index}", index)
            text = kind.write(dice)
            ended = dice.chance(kind.at_length)
            own = dice.chance(kind.limited_by_user) or (ended and kind.label != "cut off")
            yield Sample(kind.name, kind.label, text, "length" if ended else "stop", own)
