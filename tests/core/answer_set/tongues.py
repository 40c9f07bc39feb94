"""Captions in other scripts, some of which have no blanks; `say` gives whole sentences."""

from collections.abc import Callable, Sequence

from .dice import Dice

JA = (
    ("赤い服を着た女性", "若い男性", "二匹の犬", "白い猫", "子供たち", "年老いた漁師"),
    ("公園のベンチ", "海辺", "古い駅のホーム", "台所", "雪の積もった山道", "図書館", "夜の交差点"),
    ("座っている", "遊んでいる", "本を読んでいる", "空を見上げている", "笑っている", "眠っている"),
    ("背景には高い建物が見える", "柔らかい光が差し込んでいる", "全体的に落ち着いた雰囲気である",
     "手前には黄色い花が咲いている", "テーブルの上に青い花瓶がある", "遠くに富士山が見える"),
)  # fmt: skip
ZH = (
    ("一位穿着红色外套的女子", "一个小男孩", "两只黑色的狗", "一群游客", "一位老人", "三只白鹅"),
    ("在公园的长椅上", "在海边", "在厨房里", "在古老的街道上", "在雪山脚下", "在图书馆中"),
    ("看书", "微笑着", "吃着苹果", "放风筝", "休息", "聊天", "弹吉他"),
    ("背景是高楼大厦", "阳光从窗户照进来", "画面色调温暖", "左边有一辆蓝色的自行车",
     "右边的桌子上放着花瓶", "天空中飘着几朵白云"),
)  # fmt: skip
KO = (
    ("빨간 옷을 입은 여자", "젊은 남자", "두 마리의 개", "하얀 고양이", "아이들", "나이 든 어부"),
    ("공원 벤치에서", "바닷가에서", "부엌에서", "눈 덮인 산길에서", "도서관에서"),
    ("앉아 있다", "놀고 있다", "책을 읽고 있다", "하늘을 보고 있다", "웃고 있다"),
    ("배경에는 높은 건물이 보인다", "부드러운 빛이 들어온다", "전체적으로 차분한 분위기이다"),
)  # fmt: skip
AR = (
    ("امرأة ترتدي معطفا أحمر", "رجل شاب", "كلبان صغيران", "قطة بيضاء", "مجموعة من الأطفال"),
    ("في الحديقة", "على شاطئ البحر", "في المطبخ", "في شارع قديم", "أمام المكتبة"),
    ("يجلس بهدوء", "يقرأ كتابا", "ينظر إلى السماء", "يبتسم للكاميرا", "يلعب بالكرة"),
    ("في الخلفية مبان عالية", "الضوء ناعم ودافئ", "هناك زهور صفراء في المقدمة"),
)  # fmt: skip
RU = (
    ("женщина в красном пальто", "молодой человек", "две собаки", "белая кошка", "старый рыбак"),
    ("на скамейке в парке", "на берегу моря", "на кухне", "на старой улице", "в библиотеке"),
    ("сидит и читает", "смотрит на небо", "улыбается", "отдыхает", "разговаривает по телефону"),
    ("на заднем плане видны высокие дома", "мягкий свет падает из окна", "слева стоит велосипед"),
)  # fmt: skip
HI = (
    ("लाल साड़ी पहने एक महिला", "एक युवक", "दो कुत्ते", "एक सफेद बिल्ली", "कुछ बच्चे"),
    ("पार्क में", "समुद्र के किनारे", "रसोई में", "पुरानी सड़क पर", "पुस्तकालय में"),
    ("बैठे हैं", "खेल रहे हैं", "किताब पढ़ रहे हैं", "आकाश की ओर देख रहे हैं"),
    ("पीछे ऊँची इमारतें हैं", "खिड़की से हल्की रोशनी आ रही है", "सामने पीले फूल हैं"),
)  # fmt: skip
TH = (
    ("ผู้หญิงสวมเสื้อสีแดง", "ชายหนุ่ม", "สุนัขสองตัว", "แมวสีขาว", "เด็กๆ", "ชาวประมงสูงอายุ"),
    ("ในสวนสาธารณะ", "ริมทะเล", "ในห้องครัว", "บนถนนเก่า", "ในห้องสมุด"),
    ("กำลังนั่งอยู่", "กำลังเล่น", "กำลังอ่านหนังสือ", "มองดูท้องฟ้า", "ยิ้มให้กล้อง"),
    ("ด้านหลังมีตึกสูง", "แสงอ่อนส่องเข้ามาทางหน้าต่าง", "ด้านหน้ามีดอกไม้สีเหลือง"),
)  # fmt: skip

Parts = tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]
Shape = Callable[[Dice, Parts], str]


def _japanese(dice: Dice, parts: Parts) -> str:
    who, where, does, more = parts
    said = f"{dice.one(who)}が{dice.one(where)}で{dice.one(does)}。"
    return said + "".join(f"{one}。" for one in dice.some(more, dice.number(0, 4)))


def _chinese(dice: Dice, parts: Parts) -> str:
    who, where, does, more = parts
    said = f"{dice.one(who)}{dice.one(where)}{dice.one(does)}"
    return said + "".join(f"，{one}" for one in dice.some(more, dice.number(0, 4))) + "。"


def _spaced(stop: str) -> Shape:
    def say(dice: Dice, parts: Parts) -> str:
        who, where, does, more = parts
        said = [f"{dice.one(who)} {dice.one(where)} {dice.one(does)}"]
        return f"{stop} ".join([*said, *dice.some(more, dice.number(0, 3))]) + stop

    return say


TONGUES: tuple[tuple[Parts, Shape], ...] = (
    (JA, _japanese), (ZH, _chinese), (KO, _spaced(".")), (AR, _spaced(".")), (RU, _spaced(".")),
    (HI, _spaced("।")), (TH, _spaced("")),
)  # fmt: skip

DENSE = TONGUES[:2]
"""Without blanks."""


def say(
    dice: Dice, low: int = 1, high: int = 3, tongues: Sequence[tuple[Parts, Shape]] = TONGUES
) -> str:
    """Some sentences in one of the tongues."""
    parts, shape = dice.one(tongues)
    gap = "" if parts in (JA, ZH) else " "
    return gap.join(shape(dice, parts) for _ in range(dice.number(low, high)))
