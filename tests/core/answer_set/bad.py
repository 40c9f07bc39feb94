"""Answers that are none: as models really break, each in many forms."""

from . import good, prose, tags, tongues
from .dice import Dice

LEADS = (prose.short, prose.opening, prose.paragraph, good.stable_diffusion, good.quoting)


def lead(dice: Dice) -> str:
    """Where it went well still; often there is none."""
    return "" if dice.chance(0.15) else dice.one(LEADS)(dice).rstrip(".!") + dice.one((" ", ", "))


def cut(dice: Dice, text: str, last: int) -> str:
    """Cut the text somewhere in its last `last` characters, or leave it whole."""
    return text[: len(text) - dice.number(0, last - 1)] if dice.chance(0.6) else text


def loop_word(dice: Dice) -> str:
    noun = dice.one(prose.OBJECTS).split()[-1]
    word = dice.one((noun, dice.one(prose.COLOURS), dice.one(("the", "and", "very", "a", "of",
                     "is")),
                     dice.one(prose.ACTIONS).split()[0], dice.one(good.WORDS)))  # fmt: skip
    gap = dice.one((" ", " ", ", ", "-", " and ", "\n", " / "))
    return lead(dice) + cut(dice, gap.join([word] * dice.number(10, 150)), len(word))


def loop_phrase(dice: Dice) -> str:
    words = prose.short(dice).split()
    start = dice.number(0, max(0, len(words) - 2))
    phrase = " ".join(words[start : start + dice.number(2, 8)])
    if " " not in phrase:
        phrase += f" of {prose.article(dice.one(prose.OBJECTS))}"
    gap = dice.one((" ", " ", ", ", " and ", ". ", " with "))
    return lead(dice) + cut(dice, gap.join([phrase] * dice.number(5, 40)), len(phrase))


def loop_sentence(dice: Dice) -> str:
    said = " ".join(prose.sentence(dice) for _ in range(dice.number(1, 2)))
    gap = dice.one((" ", " ", "\n", "\n\n"))
    whole = gap.join([said] * dice.number(4, 12))
    return dice.one((prose.opening, prose.paragraph))(dice) + " " + cut(dice, whole, len(said) // 2)


def loop_tags(dice: Dice) -> str:
    start = tags.tags(dice, 5, 60)
    round_ = dice.some(start, dice.number(1, 6))
    return cut(dice, tags.written(dice, start + round_ * dice.number(8, 40)), 4)


def loop_punctuation(dice: Dice) -> str:
    mark = dice.one(("!", ".", "?!", ". ", "-", "_", "* ", "!\n", "…", "=", "🌟", "😂", "~", "' ",
                     ", ",
                     "…\n", '"', "<", "( ", "）", "#"))  # fmt: skip
    start = dice.one((prose.short, prose.paragraph))(dice) if dice.chance(0.8) else ""
    return start + mark * dice.number(40, 300)


def loop_characters(dice: Dice) -> str:
    mark = dice.one(("a", "0", "ha", "10", "l", "na", "x", "123", "oo", "ab", "9", "z", "wow"))
    return lead(dice) + mark * dice.number(max(4, 40 // len(mark)), 150)


def loop_dense(dice: Dice) -> str:
    """In a script without blanks."""
    said = tongues.say(dice, 1, 2, tongues.DENSE)
    size = dice.number(1, 12)
    start = dice.number(0, max(0, len(said) - size))
    phrase = said[start : start + size]
    whole = phrase * dice.number(max(8, 36 // len(phrase)), 60)
    return tongues.say(dice, 0, 2, tongues.DENSE) + cut(dice, whole, len(phrase))


def loop_quoted(dice: Dice) -> str:
    """A sign whose text never ends."""
    word = dice.one(good.WORDS) if dice.chance(0.5) else dice.one(good.LINES)
    start = f"{lead(dice)}a {dice.one(good.SIGNS)} that {dice.one(good.VERBS)} {dice.one('“')}"
    return start + cut(dice, dice.one((" ", ", ", "! ")).join([word] * dice.number(10, 60)), 3)


NAMELY = ("I", "I", "I", "We", "As an AI, I", "As a language model, I", "Unfortunately, I",
          "I'm sorry, but I", "I am sorry, I", "Sorry, I", "I apologize, but I",
          "My apologies, I")  # fmt: skip
CANNOT = ("can't", "cannot", "can not", "am unable to", "am not able to", "won't",
          "will not be able to",
          "must decline to", "am not comfortable trying to",
          "do not have the ability to")  # fmt: skip
DO = ("describe", "help with", "assist with", "provide a caption for", "generate a description of",
      "view", "analyze", "fulfill", "create a caption for", "comment on", "process", "identify",
      "see", "engage with", "write about", "caption", "respond to", "access",
      "interpret")  # fmt: skip
WHAT = ("this image", "that request", "this request", "the image", "images of this kind", "this",
        "the people in this picture", "explicit content", "the photo you mention", "that",
        "sexually suggestive material", "this content", "real persons", "images")  # fmt: skip
BECAUSE = ("", "", ".", ".", " as it goes against my guidelines.",
           " because it is not appropriate.",
           " due to its explicit nature.", ", since no image was provided.", " at the moment.",
           ". It may violate the content policy.", " without more information.",
           " directly.")  # fmt: skip
THEN = ("", "", " Is there anything else I can help you with?", " Please upload another image.",
        " If you have any other questions, feel free to ask.", " Please provide more context.",
        " I can help with other tasks instead.", " Let me know how else I can assist.")  # fmt: skip
IMPERSONAL = (
    "No image was provided", "There is no image attached to your message",
    "Unable to process image",
    "This request cannot be fulfilled", "Sorry, no description can be given for this image",
    "The image could not be loaded", "Please upload the image you would like me to describe",
    "Request denied: the content violates the usage policy",
    "Sorry, this is nothing I can describe", "It seems that you have not shared an image",
    "I'm sorry", "I apologize",
    "Content policy violation", "I don't see any image", "I do not see an image in your message",
    "It is not appropriate for me to describe this image", "I'd rather not describe this picture",
)  # fmt: skip


def refusal(dice: Dice) -> str:
    if dice.chance(0.25):
        return dice.one(IMPERSONAL) + dice.one(BECAUSE) + dice.one(THEN)
    said = f"{dice.one(NAMELY)} {dice.one(CANNOT)} {dice.one(DO)} {dice.one(WHAT)}"
    said = said.replace("We am ", "We are ")
    if dice.chance(0.2):
        said = said.replace("'", "’")
    if dice.chance(0.1):
        said = dice.one(("**", '"', "Assistant: ", "Caption: ", "\n")) + said
    return said + dice.one(BECAUSE) + dice.one(THEN)


def empty(dice: Dice) -> str:
    mark = dice.one(("", " ", "\n", ".", "...", "…", "-", "—", '""', "``", "**", "#", "?",
                     "\u200b", "🦊",
                     "()", "[]", "\t", ",", "。", "、", "«»", "\ufeff", "~", "_", "|"))  # fmt: skip
    gap = dice.one(("", " ", "\n", "\t "))
    return gap.join([mark] * dice.number(1, 3)) + dice.one(("", "", " ", "\n"))


def whole(dice: Dice) -> str:
    """A text of some length that nothing is wrong with."""
    kind = dice.number(0, 9)
    if kind < 6:
        return prose.paragraph(dice)
    if kind < 8:
        return tags.written(dice, tags.tags(dice, 20))
    return tongues.say(dice, 3, 8)


def stopped_short(dice: Dice) -> str:
    """The beginning of a text, cut where the limit fell."""
    text = whole(dice)
    return text[: dice.number(len(text) // 3, len(text) - 2)]
