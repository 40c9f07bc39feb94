"""English prose about pictures, from single noun phrases to long paragraphs."""

from .dice import Dice

AGES = ("young", "middle-aged", "elderly", "teenage", "smiling", "tired", "tall", "bearded", "shy")
PEOPLE = ("woman", "man", "girl", "boy", "farmer", "dancer", "chef", "nurse", "cyclist", "bride")
ANIMALS = ("dog", "tabby cat", "horse", "heron", "fox", "cow", "parrot", "goat", "turtle", "owl")
OBJECTS = (
    "bicycle", "teapot", "wooden chair", "guitar", "lamp", "bookshelf", "typewriter", "umbrella",
    "bowl of oranges", "vintage camera", "steam engine", "sailing boat", "phone booth", "kite",
    "stack of newspapers", "laptop", "clock tower", "fishing net", "vase of tulips", "suitcase",
)  # fmt: skip
COLOURS = (
    "red", "blue", "pale green", "yellow", "black", "white", "orange", "purple", "brown", "grey",
    "turquoise", "dark blue", "pink", "golden", "silver", "beige",
)  # fmt: skip
MATERIALS = ("wooden", "metal", "glass", "stone", "plastic", "ceramic", "leather", "paper", "wool")
HAIR = ("curly red hair", "a grey beard", "braided hair", "freckles", "round glasses", "a scar")
CLOTHES = (
    "a striped shirt", "a raincoat", "a knitted sweater", "a flowing dress", "denim overalls",
    "a leather jacket", "a wide-brimmed hat", "a school uniform", "an apron", "hiking boots",
    "a scarf with a floral pattern", "a white lab coat", "a tuxedo", "sandals and shorts",
)  # fmt: skip
ACTIONS = (
    "sitting", "standing", "leaning", "waiting", "laughing", "reading a book", "looking up",
    "holding a cup", "pointing at something", "walking slowly", "resting", "playing the violin",
    "eating an apple", "talking on the phone", "carrying a basket", "dancing", "sleeping",
)  # fmt: skip
PLACES = (
    "on a cobbled street", "in a crowded market", "beside a frozen lake", "in a sunlit kitchen",
    "under a stone bridge", "at the edge of a forest", "in front of a brick wall", "on a beach",
    "inside a train carriage", "in a narrow alley", "on a rooftop at night", "near a waterfall",
    "in a library with tall windows", "on a grassy hill", "at a bus stop", "in a small workshop",
    "in an empty parking lot", "by an open window", "on a muddy football field", "in a museum",
)  # fmt: skip
LIGHT = (
    "warm evening light", "harsh midday sun", "soft window light", "neon signs", "candlelight",
    "a single spotlight", "an overcast sky", "moonlight", "the glow of a screen", "thick fog",
)  # fmt: skip
MOODS = ("calm", "festive", "melancholic", "busy", "nostalgic", "tense", "playful", "serene")
MEDIA = (
    "photograph", "oil painting", "watercolour", "pencil drawing", "digital illustration",
    "black and white photo", "screenshot", "close-up photograph", "poster", "3D rendering",
    "woodcut", "comic panel", "aerial photograph", "vintage postcard", "collage",
)  # fmt: skip
SIDES = ("left", "right", "far left", "far right", "foreground", "background", "centre", "top")
COUNTS = ("two", "three", "four", "five", "six", "several", "a dozen", "many", "a few")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip


def article(noun: str) -> str:
    """`noun` after a or an."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    first, of, rest = noun.partition(" of ")
    if of:
        return plural(first) + of + rest
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def somebody(dice: Dice) -> str:
    if dice.chance(0.3):
        return article(f"{dice.one(COLOURS)} {dice.one(ANIMALS)}")
    who = article(f"{dice.one(AGES)} {dice.one(PEOPLE)}")
    if dice.chance(0.4):
        who += f" with {dice.one(HAIR)}"
    if dice.chance(0.4):
        who += f" wearing {dice.one(CLOTHES)}"
    return who


def something(dice: Dice) -> str:
    match dice.number(0, 3):
        case 0:
            return article(f"{dice.one(COLOURS)} {dice.one(OBJECTS)}")
        case 1:
            return article(f"{dice.one(MATERIALS)} box")
        case 2:
            return f"{dice.one(COUNTS)} {dice.one(COLOURS)} {plural(dice.one(OBJECTS))}"
        case _:
            return article(dice.one(OBJECTS))


def short(dice: Dice) -> str:
    """What BLIP and its like answer: no capital, no full stop."""
    match dice.number(0, 8):
        case 0:
            return f"{somebody(dice)} {dice.one(ACTIONS)} {dice.one(PLACES)}"
        case 1:
            return f"{something(dice)} {dice.one(PLACES)}"
        case 2:
            return f"{somebody(dice)} and {somebody(dice)} {dice.one(PLACES)}"
        case 3:
            return f"a close up of {somebody(dice)}"
        case 4:
            return f"{article(dice.one(MEDIA))} of {something(dice)} and {something(dice)}"
        case 5:
            return f"{dice.one(COUNTS)} {plural(dice.one(ANIMALS))} {dice.one(PLACES)}"
        case 6:
            return (
                f"there is {somebody(dice)} that is {dice.one(ACTIONS)} next to {something(dice)}"
            )
        case 7:
            return article(f"{dice.one(COLOURS)} and {dice.one(COLOURS)} {dice.one(OBJECTS)}")
        case _:
            return dice.one((*ANIMALS, *OBJECTS))


def sentence(dice: Dice, hero: str = "") -> str:  # noqa: C901
    """One sentence of a description; about `hero` if there is one."""
    hero = hero or somebody(dice)
    side, other = dice.some(SIDES, 2)
    match dice.number(0, 13):
        case 0:
            said = f"{hero} is {dice.one(ACTIONS)} {dice.one(PLACES)}"
        case 1:
            said = f"on the {side} there is {something(dice)}, and on the {other} {something(dice)}"
        case 2:
            said = f"{hero} wears {dice.one(CLOTHES)} and {dice.one(CLOTHES)}"
        case 3:
            said = f"the scene is lit by {dice.one(LIGHT)}, which gives it a {dice.one(MOODS)} mood"
        case 4:
            said = f"in the background, {something(dice)} can be seen {dice.one(PLACES)}"
        case 5:
            said = f"behind {hero}, {somebody(dice)} is {dice.one(ACTIONS)}"
        case 6:
            said = (
                f"the colours are mostly {dice.one(COLOURS)} and {dice.one(COLOURS)}, "
                f"with accents of {dice.one(COLOURS)}"
            )
        case 7:
            said = f"{hero} looks {dice.one(MOODS)}, {dice.one(ACTIONS)} while {dice.one(ACTIONS)}"
        case 8:
            said = f"next to {hero} lies {something(dice)} made of {dice.one(MATERIALS)} parts"
        case 9:
            said = f"the texture of the {dice.one(OBJECTS)} is rendered in fine detail"
        case 10:
            said = f"the {side} of the picture is out of focus; the {other} is sharp"
        case 11:
            said = f"a small label on the {dice.one(OBJECTS)} is dated {dice.number(1890, 2024)}"
        case 12:
            said = f"there are {dice.one(COUNTS)} {plural(dice.one(OBJECTS))} around {hero}"
        case _:
            said = f"the overall composition is {dice.one(MOODS)} and draws the eye to the {side}"
    return said[0].upper() + said[1:] + dice.one((".", ".", ".", ".", "!"))


def opening(dice: Dice) -> str:
    """The first sentence of a long description."""
    medium = dice.one(MEDIA)
    match dice.number(0, 4):
        case 0:
            return f"This is {article(medium)} of {somebody(dice)} {dice.one(PLACES)}."
        case 1:
            return f"The image shows {somebody(dice)} {dice.one(ACTIONS)} {dice.one(PLACES)}."
        case 2:
            return f"{article(medium).capitalize()} that depicts {something(dice)}."
        case 3:
            return f"{somebody(dice).capitalize()} and {something(dice)} {dice.one(PLACES)}."
        case _:
            return f"In this {medium}, {somebody(dice)} is {dice.one(ACTIONS)}."


def paragraph(dice: Dice, low: int = 4, high: int = 16) -> str:
    """A long description that names its hero again and again, as they do."""
    hero = f"the {dice.one(PEOPLE + ANIMALS)}"
    said = [opening(dice)]
    said += [
        sentence(dice, hero if dice.chance(0.7) else "") for _ in range(dice.number(low, high))
    ]
    return dice.one((" ", " ", "\n\n")).join(said)
