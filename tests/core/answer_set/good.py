"""Answers that are captions, among them those that look most like none."""

from . import prose
from .dice import Dice

WORDS = ("STOP", "SALE", "NO", "HELP", "GO", "VOTE", "Peace", "open", "Ha", "Wow", "free", "up")
LINES = (
    "I will not talk in class", "no parking", "all work and no play", "keep off the grass",
    "buy one get one free", "mind the gap", "never again", "I must be on time",
)  # fmt: skip
SIGNS = ("sign", "T-shirt", "chalkboard", "banner", "poster", "neon sign", "mug", "speech bubble")
VERBS = ("reads", "says", "displays the text", "has the words", "is covered with", "spells out")
REFUSED = (
    "I cannot do this any more", "I'm sorry, but I can't help you", "Sorry, we are closed",
    "I can't assist with that", "As an AI language model, I cannot answer", "I am unable to comply",
    "Access denied", "We cannot process your request", "This content is not available",
    "I'm sorry Dave, I'm afraid I can't do that", "I refuse", "No comment", "Cannot be displayed",
)  # fmt: skip
SCREENS = (
    "a chat window", "a computer screen", "a robot's speech bubble", "a meme", "a printed letter",
    "a phone held by a child", "a sticky note", "a door", "an old terminal", "a protest sign",
)  # fmt: skip


def toy(dice: Dice) -> str:
    """What the built-in model says."""
    parts = []
    for colour in dice.some(prose.COLOURS, dice.number(1, 3)):
        shape, many = dice.one(prose.SHAPES), dice.number(1, 4)
        if many == 1:
            parts.append(f"{dice.one(('a', 'a large', 'a small'))} {colour} {shape}")
        else:
            count = ("two", "three", "four")[many - 2]
            parts.append(f"{count} {colour} {prose.plural(shape)}")
    place = dice.one(("", "", " in a row", " on a dark background", " in the top left corner"))
    return f" {dice.one(('and', 'above', 'left of', 'next to'))} ".join(parts) + place


def figures(dice: Dice) -> str:
    """Numbers: a reading, a price list, a phone number, a large count."""
    match dice.number(0, 6):
        case 0:
            return str(dice.number(0, 9999))
        case 1:
            zeros = "0" * dice.number(2, 14)
            return f"a cheque for {dice.number(1, 9)}{zeros} dollars"
        case 2:
            digits = dice.one("0123456789") * dice.number(3, 10)
            return f"a licence plate with the number {digits}"
        case 3:
            rows = [f"{dice.number(1, 99)}.{dice.number(0, 99):02}" for _ in range(9)]
            return "a price list: " + ", ".join(rows[: dice.number(3, 9)])
        case 4:
            return f"a clock that shows {dice.number(0, 23):02}:{dice.number(0, 59):02}"
        case 5:
            times = f"{dice.number(2, 9)} x {dice.number(2, 9)}"
            return f"a blackboard with the sum {times} = ?"
        case _:
            bits = "".join(dice.one("01") for _ in range(dice.number(8, 48)))
            return f"a screen full of binary digits such as {bits}"


def structured(dice: Dice) -> str:
    """A grid, a shelf, a strip: told part by part in the same words."""
    count = dice.number(3, 9)
    places = prose.ORDINALS[:count]
    noun = dice.one(("panel", "photo", "row", "shelf", "column", "frame", "drawing"))
    lead = f"{prose.article(dice.one(prose.MEDIA)).capitalize()} with {count} {noun}s. "
    form = dice.number(0, 2)
    same = prose.short(dice)
    told = []
    for place in places:
        what = same if form == 0 and dice.chance(0.5) else prose.short(dice)
        if form == 1:
            what = f"{dice.one(prose.COLOURS)} {prose.plural(dice.one(prose.OBJECTS))}"
        told.append(f"The {place} {noun} shows {what}.")
    return lead + " ".join(told)


def emphatic(dice: Dice) -> str:
    """Words said twice and more, as people do."""
    word = dice.one(("very", "really", "so", "far", "many", "long", "big", "old"))
    row = dice.one((", ", " ")).join([word] * dice.number(2, 5))
    match dice.number(0, 3):
        case 0:
            return f"{prose.somebody(dice)} with a {row} {dice.one(prose.OBJECTS)}"
        case 1:
            one = dice.one(prose.OBJECTS)
            return f"{plural_chain(dice, one)} {dice.one(prose.PLACES)}"
        case 2:
            colour = dice.one(prose.COLOURS)
            some = ", ".join(f"a {colour} {one}" for one in dice.some(prose.OBJECTS, 5))
            return f"{some} and {prose.somebody(dice)} in {colour}"
        case _:
            laugh = dice.one(("ha", "na", "la", "ho", "choo ")) * dice.number(2, 6)
            return f'{prose.somebody(dice)} singing "{laugh.strip()}" {dice.one(prose.PLACES)}'


def plural_chain(dice: Dice, noun: str) -> str:
    many = prose.plural(noun)
    return dice.one((f"{many} and {many}", f"{many}, {many}, {many}", f"{many} upon {many}"))


def quoting(dice: Dice) -> str:
    """Repeated text that is in the picture, between its quotation marks."""
    if dice.chance(0.5):
        said = dice.one((" ", "! ", ", ", "-")).join([dice.one(WORDS)] * dice.number(2, 7))
    else:
        said = dice.one((". ", " / ", "\n")).join([dice.one(LINES)] * dice.number(2, 5))
    left, right = dice.one((('"', '"'), ("“", "”"), ("'", "'")))
    body = f"{prose.article(dice.one(prose.COLOURS))} {dice.one(SIGNS)} that {dice.one(VERBS)}"
    tail = dice.one(("", ".", f", {dice.one(prose.PLACES)}.", f". {prose.sentence(dice)}"))
    head = dice.one(("", f"{prose.opening(dice)} ", f"{prose.sentence(dice)} "))
    return f"{head}{body} {left}{said}{right}{tail}"


def scene_of_refusal(dice: Dice) -> str:
    """A picture in which somebody, or something, refuses."""
    words, where = dice.one(REFUSED), dice.one(SCREENS)
    match dice.number(0, 5):
        case 0:
            return f'{where} that says "{words}"'
        case 1:
            return f'{prose.somebody(dice).capitalize()} is reading "{words}" on {where}.'
        case 2:
            return f'The image shows {where} with the text "{words}". {prose.sentence(dice)}'
        case 3:
            return f"{words.lower()}, {dice.one(prose.COLOURS)} letters on {where}"
        case 4:
            return f'"{words}" reads {where} {dice.one(prose.PLACES)}. {prose.sentence(dice)}'
        case _:
            return f"{prose.opening(dice)} The face of the figure cannot be seen. {words.upper()}!"


def post(dice: Dice) -> str:
    """A caption for social media: first person, exclamations, emoji, hash tags."""
    mark = dice.one(("🌅", "😂😂😂", "❤️❤️", "🐶", "✨✨✨✨", "🔥🔥🔥", ""))
    thing = dice.one(prose.OBJECTS)
    lead = dice.one((
        f"I can't get enough of this {thing}!", f"Sorry, not sorry for another {thing} picture.",
        f"I cannot believe we found this {thing}!!!", f"I'm unable to stop looking at my {thing}",
        f"Sooooo happy about this {thing}...", f"Can't wait to show you the {thing}!",
        f"I'm sorry, but this {thing} is everything", f"No words. Just this {thing}.",
    ))  # fmt: skip
    tagged = " ".join(f"#{one.split()[-1]}" for one in dice.some(prose.OBJECTS, dice.number(0, 6)))
    return f"{lead} {mark} {dice.one(prose.PLACES)} {tagged}".strip()


def stable_diffusion(dice: Dice) -> str:
    """A prompt for an image generator: phrases between commas."""
    said = [prose.short(dice), dice.one(prose.MEDIA), dice.one(prose.LIGHT)]
    said += [f"{dice.one(prose.MOODS)} mood", "highly detailed", "8k", "sharp focus"]
    said += [f"{one} background" for one in dice.some(prose.COLOURS, dice.number(0, 3))]
    return ", ".join(said)


def marked(dice: Dice) -> str:
    """Ellipses, rules, sounds and rows of marks that a picture, or its caption, may hold."""
    match dice.number(0, 4):
        case 0:
            return f"{prose.short(dice)}{'.' * dice.number(2, 6)}"
        case 1:
            return f"{prose.opening(dice)}\n{'-' * dice.number(3, 10)}\n{prose.sentence(dice)}"
        case 2:
            sound = dice.one(("AAAA", "zzz", "grrr", "Booo", "BRRR", "nooo"))
            sound += sound[-1].lower() * dice.number(1, 8)
            return f"a comic panel in which {prose.somebody(dice)} cries {sound}{dice.one('!?')}"
        case 3:
            return f"{prose.somebody(dice)} saying what{'?!' * dice.number(1, 4)}"
        case _:
            stars = dice.one("★⭐*☆") * dice.number(3, 5)
            return f"a review of {prose.something(dice)}: {stars}"
