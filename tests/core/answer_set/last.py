"""A third, smaller set: what the models themselves are known to write, well and badly."""

from .dice import Dice

NAMES = ("cat", "kayak", "violin", "lighthouse", "taxi", "cactus", "sofa", "robot", "pizza", "swan")
LOOKS = (
    "fluffy",
    "yellow",
    "wooden",
    "tall",
    "neon",
    "dusty",
    "elegant",
    "cracked",
    "furry",
    "wet",
)
SPOTS = ("on top of a laptop", "in a snowy field", "near a canal", "at sunset", "in a studio",
         "behind a fence", "on a red carpet", "under an umbrella", "in a museum hall")  # fmt: skip
MOODS = ("whimsical", "gritty", "dreamy", "formal", "chaotic", "quiet", "cinematic", "rustic")


def thing(dice: Dice) -> str:
    return f"{dice.one(LOOKS)} {dice.one(NAMES)}"


def plain(dice: Dice) -> str:
    return f"a {thing(dice)} {dice.one(SPOTS)}"


def git_like(dice: Dice) -> str:
    return dice.one((
        "the number {n} is on the side of the {t}", "a book with the title of the book",
        "the words'the {t}'on the front of a {t}", "a {t} with a {t} on it {s}",
        "a {t} and a {t} sitting next to a {t}", "a picture of a {t} in a picture of a {t}",
        "two {t}s, one {s} and one {s}", "a screenshot of the {t} with the word {t} on it",
    )).format(t=thing(dice), n=dice.number(1, 99), s=dice.one(SPOTS))  # fmt: skip


def midjourney(dice: Dice) -> str:
    parts = [
        plain(dice),
        dice.one(MOODS),
        f"{dice.one(MOODS)} lighting",
        "35mm",
        "f/1.8",
        "8k, 8k uhd",
    ]
    return (
        f"{', '.join(parts)} --ar {dice.number(1, 16)}:{dice.number(1, 9)} --v {dice.number(4, 7)}"
    )


def weighted(dice: Dice) -> str:
    tags = [f"({thing(dice)}:1.{dice.number(1, 5)})" for _ in range(dice.number(4, 25))]
    return ", ".join(["masterpiece", "best quality", *tags, "looking at viewer", "solo"])


def critic(dice: Dice) -> str:
    said = [f"The {dice.one(MOODS)} palette sets the {thing(dice)} against the {thing(dice)}."
            for _ in range(dice.number(4, 12))]  # fmt: skip
    return f"This {dice.one(MOODS)} piece shows {plain(dice)}. " + " ".join(said)


def listing(dice: Dice) -> str:
    rows = [f"✔ {thing(dice).title()} design" for _ in range(dice.number(3, 9))]
    lead = f"**{thing(dice).title()}** – order yours now!"
    return "\n\n".join([lead, "\n".join(rows), "⭐⭐⭐⭐⭐ (4.9)"])


def grounded(dice: Dice) -> str:
    found = []
    for _ in range(dice.number(2, 9)):
        corner = ", ".join(f"0.{dice.number(10, 99)}" for _ in range(4))
        found.append(f"a {thing(dice)}[{corner}]")
    return "An image of " + ", ".join(found)


def notation(dice: Dice) -> str:
    """Notation that repeats by nature."""
    bases = "".join(dice.one("ACGT") for _ in range(dice.number(12, 60)))
    knit = ", ".join(["k2", "p2"] * dice.number(2, 4))
    n = dice.number(2, 9)
    times = "; ".join(f"{at} x {n} = {at * n}" for at in range(1, dice.number(6, 12)))
    days = " ".join(map(str, range(1, dice.number(20, 31))))
    morse = " ".join(
        dice.one((".-", "-...", "---", ".", "-.-.")) for _ in range(dice.number(5, 25))
    )
    return dice.one((
        f"a knitting chart that reads {knit}", f"a poster of the gene {bases}",
        f"a school book with the table {times}",
        f"a telegram in Morse: {morse}, by a {thing(dice)}",
        "a blackboard with the matrix [[1, 0, 0], [0, 1, 0], [0, 0, 1]]",
        f"a calendar page: Mo Tu We Th Fr Sa Su, {days}",
        f"a monitor with the address {':'.join(['ff'] * 6)} beside a {thing(dice)}",
        f"a countdown 10, 9, 8, 7, 6, 5, 4, 3, 2, 1 above a {thing(dice)}",
    ))  # fmt: skip


def speaking(dice: Dice) -> str:
    """First person and negation in captions, memes and letters."""
    return dice.one((
        "Nothing describes this {t} better than silence.", "I did not expect a {t} {s}!",
        "My {t} and I are not able to stay inside today.", "No {t} was harmed {s}.",
        "Not a single {t} is to be seen {s}, only a {t}.", "When you can't even {s}: a {t} meme",
        "I can't see the forest for the {t} {s}.", "We do not deserve this {t}",
        "A {t} that will not be moved {s}.", "Sorry for the photo spam, here is a {t} again",
        "I won't lie, this {t} {s} made my day.", "A letter begins: I am sorry to tell you that",
        "I would rather be a {t} {s}.", "I am not a {t}, says the {t}.", "Don't talk to my {t}",
        "I don't see a {t}, I see art {s}.", "You have not lived until you saw a {t} {s}.",
    )).format(t=thing(dice), s=dice.one(SPOTS))  # fmt: skip


# -- broken ---------------------------------------------------------------------------------------


def suit_and_tie(dice: Dice) -> str:
    one, two = dice.some(NAMES, 2)
    return dice.one((
        f"a {dice.one(LOOKS)} {one} in" + f" a {one} and {two} and" * dice.number(6, 14),
        "a close up of " * dice.number(6, 14) + f"a {one}",
        f"a {one} is " + f"standing next to a {two} and " * dice.number(6, 20),
        f"{'arafed ' * dice.number(10, 30)}",
    )).strip()  # fmt: skip


def boxes(dice: Dice) -> str:
    what = thing(dice)
    rows = []
    for _ in range(dice.number(20, 80)):
        box = [dice.number(0, 999) for _ in range(3)]
        rows.append(f'{{"bbox_2d": {box}, "label": "{what}", "part": "whole"}}')
    return "[\n" + ",\n".join(rows)


def numbered_tags(dice: Dice) -> str:
    what = thing(dice)
    form = dice.one(("{w} {n}", "{w} ({n})", "{w}_{n}", "{n}. {w}"))
    gap = dice.one((", ", "\n"))
    return gap.join(form.format(w=what, n=n) for n in range(1, dice.number(40, 120)))


def second_thoughts(dice: Dice) -> str:
    said = dice.one(("Wait, let me look again. It is {p}. ", "Actually, no. The image shows {p}. ",
                     "Let me think. Is it {p}? Yes. ", "Hmm, but there is {p} too. "))  # fmt: skip
    return f"The image shows {plain(dice)}. " + said.format(p=plain(dice)) * dice.number(6, 30)


def markup(dice: Dice) -> str:
    mark = dice.one(
        ("<br>", "&nbsp;", "</div>", "\\n", "```\n", "<0x0A>", "[...]", "%20", "</p>\n")
    )
    return f"{plain(dice)} " + mark * dice.number(40, 200)


def growing(dice: Dice) -> str:
    word, what = dice.one(("very", "really", "much", "so")), thing(dice)
    rounds = [f"a {f'{word} ' * at}{what}" for at in range(1, dice.number(22, 40))]
    return ", ".join(rounds)


def switching(dice: Dice) -> str:
    few = dice.some(("猫がいる", "a cat", "un gato", "ein Hund", "кот", "고양이", "قطة"), 3)
    return f"{plain(dice)}. " + dice.one((" / ", ", ", " ")).join(few * dice.number(8, 30))


VOICES = (
    "I cannot provide information about individuals in this image",
    "I apologize, but I do not feel comfortable describing this image",
    "I will not identify or make assumptions about the people in this photo",
    "I'm unable to identify or describe real people based on images",
    "I'm just a language model, so I can't help you with that",
    "I am not programmed to assist with that", "很抱歉，我无法描述这张图片的内容",
    "作为一个AI语言模型，我无法查看图片", "I'm sorry, I can't provide a caption for that image",
    "I don't have the capability to view or analyze images", "I can't create explicit content",
    "Unfortunately I cannot generate a description for this type of image",
    "I must respectfully refuse to describe this picture",
    "As a text-based AI, I don't have the ability to see images",
    "I'm not able to provide descriptions of people in intimate situations",
    "Sorry, but I can't assist with that", "I won't be able to help with describing this image",
    "I am sorry, but the image you have provided cannot be described",
    "The image contains material that I am not allowed to describe",
    "I can't engage with this image, as it seems to show a minor",
    "Your request was flagged, and I cannot provide a description",
    "I regret that I cannot describe what this image shows",
)  # fmt: skip


def voices(dice: Dice) -> str:
    tail = dice.one(("", ".", ". Is there anything else you would like to discuss?",
                     ". If you'd like, I can help with another image.", "!", ". Sorry about that.",
                     ".\n\nPlease let me know if you have other questions."))  # fmt: skip
    return dice.one(VOICES) + tail


def blank(dice: Dice) -> str:
    mark = dice.one(
        ("\n", "\t", " \n", "\r\n", "\u2003", "\u200c", "…\n", "<|im_start|>", "<eos>", "<bos>")
    )
    return mark * dice.number(1, 60)
