"""Broken answers that the guard was not written for."""

from . import later_good as good
from . import tongues
from .dice import Dice


def start(dice: Dice) -> str:
    return dice.one(("", good.line(dice) + " ", good.essay(dice) + " ", good.clause(dice) + ", "))


def counted(dice: Dice) -> str:
    """Rounds that differ in a number."""
    what, first = good.clause(dice), dice.number(1, 2000)
    form = dice.one(("{n}. {what}\n", "In {n}, {what}. ", "Figure {n} shows that {what}. ",
                     "{what} ({n}), ",
                     "Panel {n}: {what}; "))  # fmt: skip
    rounds = [form.format(n=first + at, what=what) for at in range(dice.number(16, 60))]
    return start(dice) + "".join(rounds)


def ordinals(dice: Dice) -> str:
    """Rounds that differ in a number that is written out."""
    tens = ("", "twenty-", "thirty-", "forty-")
    ones = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
    what = good.clause(dice)
    names = [ten + one for ten in tens for one in ones][: dice.number(18, 36)]
    return start(dice) + " ".join(f"The {name} row shows how {what}." for name in names)


def alternating(dice: Dice) -> str:
    """Two sentences in turn."""
    one, two = good.line(dice), good.line(dice)
    gap = dice.one((" ", "\n", "\n\n"))
    text = start(dice) + gap.join([one, two] * dice.number(5, 20))
    return text[: -dice.number(1, 30)] if dice.chance(0.5) else text


def shuffled(dice: Dice) -> str:
    """A few sentences over and over in no order."""
    few = [good.line(dice) for _ in range(dice.number(2, 4))]
    return start(dice) + " ".join(dice.one(few) for _ in range(dice.number(24, 60)))


def nested(dice: Dice) -> str:
    """A picture of a picture of a picture."""
    link = dice.one((" of a {x}", " in front of a {x}", " with a {x}", " and a {x}", " on a {x}"))
    thing = dice.one(good.THINGS)
    return f"{start(dice)}a {thing}" + link.format(x=thing) * dice.number(9, 40)


def unsteady(dice: Dice) -> str:
    """One word, its case and the marks between changing."""
    word = dice.one(good.THINGS)
    forms = (word, word.title(), word.upper())
    gaps = (" ", ", ", ". ", "; ", " - ")
    few = dice.some(gaps, 2)
    return start(dice) + "".join(
        dice.one(forms) + dice.one(few) for _ in range(dice.number(40, 120))
    )


def left_again(dice: Dice) -> str:
    """A loop, and then an end as if nothing had been."""
    phrase = dice.one((good.noun(dice), good.clause(dice), dice.one(good.THINGS)))
    gap = dice.one((" ", ", ", " and "))
    return f"{start(dice)}{gap.join([phrase] * dice.number(20, 60))}. {good.line(dice)}"


def closed(dice: Dice) -> str:
    """A loop that closes its quotation or bracket after all."""
    left, right = dice.one((('"', '"'), ("(", ")"), ("“", "”"), ("[", "]"), ("'", "'.")))
    word = dice.one((dice.one(good.SOUNDS), good.noun(dice)))
    row = dice.one((" ", ", ")).join([word] * dice.number(20, 80))
    return f"{start(dice)}a sign with {left}{row}{right}"


def bullets(dice: Dice) -> str:
    """The same bullet or row of a table again and again."""
    row = dice.one(("- a {a}", "* {a}", "| {a} | {b} |", "• **{a}**: {b}", "> {a}"))
    text = row.format(a=good.noun(dice), b=dice.one(good.WHERE))
    return start(dice) + "\n" + "\n".join([text] * dice.number(10, 50))


def emoji(dice: Dice) -> str:
    row = "".join(dice.some(("😂", "❤️", "🔥", "✨", "👍", "🌸", "🎉", "🐶"), dice.number(1, 3)))
    return good.line(dice) + dice.one((" ", "")) + row * dice.number(30, 120)


def spoken(dice: Dice) -> str:
    """A loop in another script, with blanks or without."""
    said = tongues.say(dice, 1, 1)
    gap = dice.one((" ", "、", ", ", "\n"))
    return tongues.say(dice, 1, 2) + " " + gap.join([said] * dice.number(6, 30))


REFUSED = (
    "I'm really sorry, but describing this isn't something I'm able to do",
    "That's not something I can help with", "This isn't something I'm able to describe",
    "My guidelines prevent me from describing this picture", "I have to pass on this one",
    "Describing this content is against my programming", "I was not able to load the image",
    "Let's talk about something else instead", "Could you please share the image again?",
    "It looks like the image didn't come through", "I'm afraid I can't do that",
    "Error: the image could not be decoded", "I'm not allowed to talk about this kind of content",
    "I'm designed to be safe and helpful, so I won't be describing this image",
    "Apologies, but that's outside of what I can do", "I need to respectfully decline this request",
    "For privacy reasons I can't tell who the person in this picture is",
    "Regrettably, I am unable to comply with your request",
    "I don't feel comfortable describing this",
    "I'm going to have to refuse to caption this image", "I do not have access to the image",
    "The requested description cannot be generated", "I can only see text, not images",
    "Thank you for the image, but I am not able to describe it", "I cannot fulfill this",
    "As a responsible assistant I will not write a caption for this", "I can't view images yet",
    "I am programmed to follow rules that do not let me describe this image",
    "We're sorry, but we're unable to provide a caption for it", "I can't continue with this task",
)  # fmt: skip
AFTERWARDS = ("", ".", "!", ". How can I help you otherwise?", ". Try another picture.",
              ". Thanks for understanding.",
              ". Would you like something else?", ", sorry.",
              ". This is a safety measure.")  # fmt: skip
ABROAD = (
    "Es tut mir leid, aber ich kann dieses Bild nicht beschreiben",
    "Ich kann dir dabei leider nicht helfen",
    "Leider bin ich nicht in der Lage, dieses Bild zu verarbeiten",
    "Ich darf diese Anfrage nicht bearbeiten",
    "Je suis désolé, mais je ne peux pas décrire cette image",
    "Je ne peux pas répondre à cette demande",
    "Désolée, il m'est impossible de vous aider", "Lo siento, no puedo describir esta imagen",
    "No puedo ayudarte con esa solicitud", "Lo siento, pero no puedo procesar esta imagen",
    "Desculpe, não posso descrever esta imagem", "Não consigo ajudar com esse pedido",
    "Mi dispiace, non posso descrivere questa immagine",
    "Non sono in grado di aiutarti con questa richiesta",
    "Het spijt me, ik kan deze afbeelding niet beschrijven", "Sorry, ik kan daar niet bij helpen",
    "Przepraszam, nie mogę opisać tego obrazu", "Nie mogę pomóc w tej prośbie",
    "Извините, я не могу описать это изображение", "К сожалению, я не могу помочь с этим запросом",
    "申し訳ありませんが、この画像を説明することはできません",
    "すみません、その内容にはお答えできません",
    "抱歉，我无法描述这张图片", "对不起，我不能协助您完成这个请求", "我无法提供这张图片的描述",
    "죄송합니다, 이 이미지를 설명할 수 없습니다", "죄송하지만 그 요청은 도와드릴 수 없습니다",
    "عذرا، لا يمكنني وصف هذه الصورة", "آسف، لا أستطيع المساعدة في هذا الطلب",
    "क्षमा करें, मैं इस छवि का वर्णन नहीं कर सकता", "ขออภัย ฉันไม่สามารถอธิบายภาพนี้ได้",
    "Üzgünüm, bu görseli açıklayamam", "Xin lỗi, tôi không thể mô tả hình ảnh này",
    "Maaf, saya tidak dapat menjelaskan gambar ini", "Tyvärr kan jag inte beskriva den här bilden",
)  # fmt: skip


def polite(dice: Dice) -> str:
    said = dice.one(REFUSED) + dice.one(AFTERWARDS)
    return (
        dice.one(("", "", "", "Hello! ", "Hmm. ", "**Note:** ", "Thank you for sharing. ")) + said
    )


def abroad(dice: Dice) -> str:
    return dice.one(ABROAD) + dice.one((".", "", "!", "…")) + dice.one(("", "", " 😔", "\n"))


def half(dice: Dice) -> str:
    """Declines, then tells something after all: no text for a training set."""
    what = dice.one(("identify the people in this image", "comment on the person's identity",
                     "describe the explicit parts of this picture",
                     "recognize real people"))  # fmt: skip
    who = dice.one(("I'm sorry, but I can't", "I cannot", "Sorry, I'm unable to", "I won't"))
    turn = dice.one(("However, I can tell you that", "But", "What I can say is that", "Still,"))
    return f"{who} {what}. {turn} {good.clause(dice)}. {good.line(dice)}"


def nothing(dice: Dice) -> str:
    """Marks of tokenizers and templates, and blanks of every kind."""
    mark = dice.one(("<|endoftext|>", "</s>", "<unk>", "[PAD]", "<pad>", "<|im_end|>", "<s></s>",
                     "[UNK]",
                     "\u3000", "\u200d", "\u200e", "\u00a0", "�", "```json\n```", "{}", "<>", "\\",
                     "Caption:", "**Description:**", "Answer: ", "<|eot_id|>", "[SEP]",
                     "<image>"))  # fmt: skip
    return dice.one(("", " ", "\n")).join([mark] * dice.number(1, 5))


def stopped_short(dice: Dice) -> str:
    """Cut where the limit fell, often within a word."""
    text = good.whole(dice)
    return text[: dice.number(len(text) // 3, len(text) - 2)]
