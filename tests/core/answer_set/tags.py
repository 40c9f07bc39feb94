"""Lists of tags, as tagging modes give them: many alike, few of them twice."""

from .dice import Dice

HEADS = ("1girl", "1boy", "2girls", "multiple boys", "no humans", "1other", "6+girls", "3boys")
SHADES = ("blue", "red", "black", "white", "pink", "green", "purple", "blonde", "brown", "grey")
WORN = (
    "dress", "skirt", "shirt", "gloves", "boots", "thighhighs", "ribbon", "bow", "jacket", "hat",
    "necktie", "cape", "kimono", "scarf", "footwear", "headwear", "hairband", "choker", "belt",
)  # fmt: skip
BODY = ("hair", "eyes", "nails", "skin", "wings", "horns", "tail", "fur")
SIZES = ("long", "short", "very long", "large", "small", "medium", "wide", "floating", "detached")
SIZED = ("hair", "sleeves", "skirt", "dress", "hat", "bow", "wings", "socks", "collar")
POSES = (
    "standing", "sitting", "looking at viewer", "looking back", "looking to the side", "from above",
    "from below", "from side", "arms up", "arm behind back", "hand on own hip", "holding",
    "holding sword", "holding book", "holding cup", "holding umbrella", "holding flower", "running",
    "full body", "upper body", "cowboy shot", "portrait", "leaning forward", "crossed arms",
)  # fmt: skip
FACES = (
    "smile", "open mouth", "closed mouth", "blush", "closed eyes", "grin", "frown",
    "one eye closed",
    "fang", "parted lips", "tears", ":d", "^_^", "serious", "v-shaped eyebrows", "eyelashes",
)  # fmt: skip
SCENES = (
    "outdoors", "indoors", "day", "night", "sky", "blue sky", "cloudy sky", "night sky", "cloud",
    "starry sky", "tree", "bare tree", "palm tree", "flower", "red flower", "white flower", "grass",
    "water", "ocean", "beach", "window", "curtains", "bed", "chair", "table", "building",
    "cityscape", "simple background", "white background", "gradient background", "sunlight",
)  # fmt: skip
META = ("highres", "absurdres", "signature", "artist name", "dated", "masterpiece", "best quality")


def tags(dice: Dice, low: int = 12, high: int = 110) -> list[str]:
    pool = list(dict.fromkeys([
        *(f"{shade} {worn}" for shade in dice.some(SHADES, 5) for worn in WORN),
        *(f"{shade} {part}" for shade in dice.some(SHADES, 3) for part in BODY),
        *(f"{size} {worn}" for size in SIZES for worn in SIZED),
        *POSES, *FACES, *SCENES, *META, *WORN,
    ]))  # fmt: skip
    found = [dice.one(HEADS), "solo", *dice.some(pool, dice.number(low, high))]
    for _ in range(dice.number(0, 3) if len(found) > 20 else 0):
        found.insert(dice.number(2, len(found)), dice.one(found[2:]))
    return found


def written(dice: Dice, found: list[str]) -> str:
    """Write tags down in one of the usual ways."""
    if dice.chance(0.25):
        found = [tag.replace(" ", "_") for tag in found]
        return dice.one((" ", ", ")).join(found)
    return dice.one((", ", ", ", ",", "\n")).join(found)
