"""Captions that the guard was not written for: structured, transcribed, sung, patterned."""

import json

from .dice import Dice

THINGS = (
    "cup", "plate", "spoon", "basket", "bridge", "tower", "cabin", "canoe", "ladder", "drum",
    "mirror", "helmet", "pillow", "bottle", "wheel", "statue", "fountain", "barn", "tram", "quilt",
)  # fmt: skip
KINDS = (
    "striped",
    "rusty",
    "tiny",
    "oval",
    "broken",
    "antique",
    "shiny",
    "painted",
    "muddy",
    "bare",
)
INK = ("red", "blue", "green", "black", "white", "yellow", "cream", "navy", "teal", "maroon")
WHERE = ("left", "right", "middle", "upper corner", "lower edge", "far distance", "front", "back")
WHO = ("an old sailor", "two children", "a waiter", "a runner", "the crowd", "a juggler", "a monk",
       "three tourists", "a mechanic", "a baby", "a judge", "the goalkeeper")  # fmt: skip
DOES = ("waves", "waits", "paints a fence", "pours tea", "crosses the square", "ties a shoe",
        "yawns",
        "stacks boxes", "feeds pigeons", "climbs the stairs", "looks away",
        "sharpens a knife")  # fmt: skip
SOUNDS = ("bang", "la", "na", "tick", "boom", "knock", "ha", "do re mi", "drip", "woof", "choo")


def noun(dice: Dice) -> str:
    return f"{dice.one(KINDS)} {dice.one(INK)} {dice.one(THINGS)}"


def clause(dice: Dice) -> str:
    return f"{dice.one(WHO)} {dice.one(DOES)} beside a {noun(dice)}"


def line(dice: Dice) -> str:
    said = clause(dice)
    return said[0].upper() + said[1:] + "."


def markdown(dice: Dice) -> str:
    """Headings, bullets, bold keys: what chat models like to answer."""
    mark = dice.one(("- ", "* ", "1. ", "• "))
    rows = []
    for at in range(dice.number(4, 14)):
        start = f"{at + 1}. " if mark == "1. " else mark
        key = dice.one(("Object", "Colour", "Position", "Person", "Detail", "Light"))
        rows.append(f"{start}**{key}**: a {noun(dice)} in the {dice.one(WHERE)}")
    return f"{'#' * dice.number(1, 3)} Description\n\n{line(dice)}\n\n" + "\n".join(rows)


def inventory(dice: Dice) -> str:
    """A numbered list whose items are nearly the same."""
    thing = dice.one(THINGS)
    rows = [f"{at}. A {dice.one(INK)} {thing}" for at in range(1, dice.number(5, 16))]
    return f"The picture shows a shelf of {thing}s:\n" + "\n".join(rows)


def poem(dice: Dice) -> str:
    """Verses with a refrain."""
    refrain = dice.one(("O roll away, my river, roll", "And still the lantern burns",
                        "Home, home, home",
                        "Row, row, row your boat", "Let it be, let it be, let it be"))  # fmt: skip
    verses = []
    for _ in range(dice.number(2, 6)):
        own = [line(dice) for _ in range(dice.number(2, 4))]
        verses.append("\n".join([*own, *[refrain] * dice.number(1, 2)]))
    return "\n\n".join(verses)


def pattern(dice: Dice) -> str:
    """Stripes, squares, rows and rows."""
    one, two = dice.some(INK, 2)
    thing = dice.one(THINGS)
    match dice.number(0, 5):
        case 0:
            where = dice.one(("row after row", "as far as one sees"))
            return f"rows and rows of {one} {thing}s, {where}"
        case 1:
            return ", ".join([f"{one} stripe", f"{two} stripe"] * dice.number(2, 4))
        case 2:
            squares = " ".join([f"{one} {two}"] * dice.number(2, 4))
            return f"a chessboard whose first row goes {squares}, and the next the other way round"
        case 3:
            return (
                f"a quilt of {one}, {two}, {one}, {two} and {one} patches with a {noun(dice)} motif"
            )
        case 4:
            chain = [thing] * dice.number(3, 6)
            return f"{', '.join(chain)} and one {dice.one(THINGS)}: a detector's list"
        case _:
            return f"{thing}s on {thing}s on {thing}s, each {one} with {two} dots, again and again"


def transcript(dice: Dice) -> str:
    """Text read from receipts, forms, tables of contents, timetables, eye charts."""
    match dice.number(0, 5):
        case 0:
            rows = [f"{dice.number(1, 4)} x {dice.one(THINGS)}  {dice.number(1, 30)}.99"
                    for _ in range(dice.number(4, 14))]  # fmt: skip
            return (
                "A receipt:\n" + "\n".join(rows) + f"\nTOTAL  {dice.number(20, 300)}.00\nTHANK YOU"
            )
        case 1:
            rows = [f"Chapter {at} {'.' * dice.number(8, 20)} {at * dice.number(4, 9)}"
                    for at in range(1, dice.number(5, 11))]  # fmt: skip
            return "A table of contents:\n" + "\n".join(rows)
        case 2:
            fields = [f"{name}: {'_' * dice.number(6, 18)}" for name in
                      dice.some(("Name", "Date", "Signature", "Address", "City",
                      "Phone"), 4)]  # fmt: skip
            return "A blank form with the fields " + " ".join(fields) + " and a stamp"
        case 3:
            rows = [f"{dice.number(5, 22):02}:{dice.number(10, 59)} Platform {dice.number(1, 9)}"
                    for _ in range(dice.number(4, 12))]  # fmt: skip
            return "A departure board:\n" + "\n".join(rows)
        case 4:
            return "An eye chart: E / F P / T O Z / L P E D / P E C F D / E D F C Z P. " + line(
                dice
            )
        case _:
            digits = "".join(dice.one("0123456789abcdef") for _ in range(dice.number(16, 64)))
            return f"A terminal that prints the hash {digits}. {line(dice)}"


def table(dice: Dice) -> str:
    rows = [f"| {dice.one(THINGS)} | {dice.one(INK)} | {dice.one(WHERE)} |" for _ in range(6)]
    rows = rows[: dice.number(3, 6)]
    return "| object | colour | place |\n|--------|--------|-------|\n" + "\n".join(rows)


def as_json(dice: Dice) -> str:
    told = [{"object": dice.one(THINGS), "colour": dice.one(INK), "place": dice.one(WHERE)}
            for _ in range(dice.number(2, 9))]  # fmt: skip
    return json.dumps({"caption": line(dice), "objects": told}, indent=dice.one((None, 2)))


def sung(dice: Dice) -> str:
    """Sounds in a picture, said more than once."""
    sound = dice.one(SOUNDS)
    row = dice.one((" ", ", ", "! ", "-")).join([sound] * dice.number(2, 6))
    return dice.one((
        f'A comic panel: {dice.one(WHO)} hears "{row.upper()}!" from a {noun(dice)}.',
        f"{line(dice)} The caption on the page reads {row}, and then nothing more.",
        f"{dice.one(WHO)} sings {row} to a {noun(dice)}",
        f"B-B-But why? asks {dice.one(WHO)}. {row}! says a {noun(dice)}.",
    ))  # fmt: skip


def cumulative(dice: Dice) -> str:
    """This is the house that Jack built."""
    things = dice.some(THINGS, dice.number(3, 6))
    verses = []
    for at in range(1, len(things)):
        tail = " that stood by the ".join(reversed(things[: at + 1]))
        verses.append(f"This is the {tail} that Jack built.")
    return " ".join(verses)


def unseen(dice: Dice) -> str:
    """What a caption may say is not there, or cannot be made out."""
    lead = dice.one((
        "The face of {who} cannot be seen because it is turned away.",
        "There are no people in the image, only a {noun}.", "No text is visible in this picture.",
        "It is not possible to tell whether the {noun} is open.", "The label cannot be read.",
        "The rest of the {noun} is not shown in the photo.", "Nobody can help {who} any more.",
        "Unable to stand, {who} leans on a {noun}.", "{who} refuses to look at the camera.",
        "The image is blurry, so that the {noun} can hardly be recognised.",
        "Sorry faces all around: {who} has dropped a {noun}.",
        "{who} is not able to lift the {noun}.", "An error message covers part of the screen.",
        "{who} does not want to be photographed, and hides behind a {noun}.",
        "A policy document and a {noun} lie on the desk.",
        "Please do not touch, says a small card.",
        "I see {who} and a {noun}.", "We can see a {noun} here, but not who uses it.",
    ))  # fmt: skip
    said = lead.format(who=dice.one(WHO), noun=noun(dice))
    return said[0].upper() + said[1:] + " " + line(dice)


EUROPE = (
    (("Das Bild zeigt {a}", "Man sieht {a}", "Im Vordergrund steht {a}"),
     ("einen alten Fischer", "zwei Kinder", "einen leeren Marktplatz", "ein rotes Fahrrad"),
     ("im Hintergrund liegt der Hafen", "das Gesicht ist nicht zu erkennen", "das Licht ist weich",
      "links kann man ein Boot nicht ganz sehen", "es regnet")),
    (("L'image montre {a}", "On voit {a}", "Au premier plan, {a}"),
     ("un vieux pêcheur", "deux enfants", "une place vide", "un vélo rouge"),
     ("à l'arrière-plan se trouve le port", "on ne peut pas voir son visage", "il pleut",
      "la lumière est douce")),
    (("La imagen muestra {a}", "Se ve {a}", "En primer plano hay {a}"),
     ("un viejo pescador", "dos niños", "una plaza vacía", "una bicicleta roja"),
     ("al fondo está el puerto", "no se puede ver su rostro", "la luz es suave", "llueve")),
    (("A imagem mostra {a}", "Vê-se {a}", "Em primeiro plano está {a}"),
     ("um velho pescador", "duas crianças", "uma praça vazia", "uma bicicleta vermelha"),
     ("ao fundo fica o porto", "não se vê o rosto", "a luz é suave", "chove")),
    (("L'immagine mostra {a}", "Si vede {a}", "In primo piano c'è {a}"),
     ("un vecchio pescatore", "due bambini", "una piazza vuota", "una bicicletta rossa"),
     ("sullo sfondo c'è il porto", "non si vede il volto", "la luce è morbida", "piove")),
    (("De afbeelding toont {a}", "Men ziet {a}"),
     ("een oude visser", "twee kinderen", "een leeg plein", "een rode fiets"),
     ("op de achtergrond ligt de haven", "zijn gezicht is niet te zien", "het licht is zacht")),
    (("Zdjęcie przedstawia {a}", "Na zdjęciu widać {a}"),
     ("starego rybaka", "dwoje dzieci", "pusty rynek", "czerwony rower"),
     ("w tle jest port", "nie widać twarzy", "światło jest miękkie")),
    (("На изображении {a}", "Видно, как стоит {a}"),
     ("старый рыбак", "красный велосипед", "пустая площадь", "мальчик с собакой"),
     ("на заднем плане порт", "лица не видно", "свет мягкий", "я не могу забыть этот вид")),
    (("画像には{a}が写っている", "写真には{a}が見える"),
     ("年老いた漁師", "二人の子供", "空っぽの広場", "赤い自転車"),
     ("背景には港がある", "顔は見えない", "光は柔らかい", "ドキドキする場面だ", "文字は読めない")),
    (("图片中有{a}", "照片里是{a}"),
     ("一位老渔夫", "两个孩子", "空荡荡的广场", "一辆红色自行车"),
     ("背景是港口", "看不到他的脸", "光线柔和", "上面的字不清楚", "哈哈哈哈的笑声仿佛能听见")),
    (("사진에는 {a} 있다", "이미지는 {a} 보여준다"),
     ("늙은 어부가", "두 아이가", "텅 빈 광장이", "빨간 자전거가"),
     ("배경에는 항구가 있다", "얼굴은 볼 수 없다", "빛이 부드럽다")),
)  # fmt: skip


def european(dice: Dice) -> str:
    """Other languages, saying also what is not to be seen."""
    leads, who, more = dice.one(EUROPE)
    gap = dice.one((", ", ". "))
    said = [dice.one(leads).format(a=dice.one(who)), *dice.some(more, dice.number(1, 3))]
    if dice.chance(0.4):
        said.append(dice.one(leads).format(a=dice.one(who)))
    return gap.join(said) + "."


def hashtags(dice: Dice) -> str:
    tags = [f"#{dice.one(INK)}{dice.one(THINGS)}" for _ in range(dice.number(5, 30))]
    return f"{line(dice)} {'❤️' * dice.number(1, 6)} {' '.join(tags)}"


def shades(dice: Dice) -> str:
    """Tags that differ in a shade only."""
    steps = ("light ", "dark ", "pale ", "bright ", "deep ", "very dark ", "")
    tags = [f"{step}{ink} {thing}" for thing in dice.some(THINGS, 3) for ink in dice.some(INK, 4)
            for step in dice.some(steps, 5)]  # fmt: skip
    return ", ".join(dice.some(tags, dice.number(10, 55)))


def essay(dice: Dice) -> str:
    """Plain sentences, many of them."""
    return " ".join(line(dice) for _ in range(dice.number(6, 25)))


def whole(dice: Dice) -> str:
    write = dice.one((markdown, poem, as_json, european, essay, transcript, shades))
    text = write(dice)
    return text if len(text) > 40 else f"{text} {essay(dice)}"
