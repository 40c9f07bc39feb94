"""How models decline in other languages than English. Pure.

Three lists a language: apologies, who cannot, and what is asked for. An apology is followed by one
of the others within a sentence or two; who cannot, within the same clause, by what is asked for:
so that a caption in which somebody cannot forget a view is left alone.
"""

# ruff: noqa: RUF001 - letters of other scripts look like Latin ones

import re
from typing import NamedTuple


class _Tongue(NamedTuple):
    sorry: str
    cannot: str
    asked: str


_TONGUES = {
    "German": _Tongue(
        r"\bes tut mir leid\b|\bals (?:ki|sprachmodell)\b|\bentschuldigung\b|\bich bedaure\b",
        r"\bich (?:kann|darf|möchte|werde|bin)\b|\bleider (?:kann|darf|bin) ich\b",
        r"(?:nicht|kein\w*)\b.{0,60}(?:beschreib|helf|behilflich|bild|anfrag|erstell|lage|verarbeit)"
        r"|(?:beschreib|helf|dabei|bild|anfrage)\w*\b.{0,30}\bnicht\b",
    ),
    "French": _Tongue(
        r"\bdésolée?\b|\ben tant qu(?:e modèle|'ia)\b|\bje regrette\b|\bje m'excuse\b",
        r"\bje ne (?:peux|puis|suis)\b|\bje suis incapable\b|\bil m'est impossible\b",
        r"\bdécri|\baider\b|\bdemande\b|\bimage\b|\bcontenu\b|\bassister\b|\brépondre\b",
    ),
    "Spanish": _Tongue(
        r"\blo siento\b|\bcomo (?:modelo|ia)\b|\blamento\b|\bdisculp\w+",
        r"\bno (?:puedo|me es posible|soy capaz|es posible|debo)\b",
        r"describ|ayud|\bimagen|solicitud|proporcion|asist|contenido|descripción",
    ),
    "Portuguese": _Tongue(
        r"\bdesculpe\b|\bsinto muito\b|\blamento\b",
        r"\bnão (?:posso|consigo|sou capaz|me é possível)\b",
        r"descrev|ajud|\bimagem|pedido|solicita|fornec|conteúdo|descrição",
    ),
    "Italian": _Tongue(
        r"\bmi dispiace\b|\bspiacente\b",
        r"\bnon (?:posso|sono in grado|riesco|mi è possibile)\b",
        r"descriv|aiut|immagin|richiesta|forni|contenut|assist|descrizione",
    ),
    "Dutch": _Tongue(
        r"\bhet spijt me\b|\bsorry\b",
        r"\bik (?:kan|mag|ben)\b|\bhelaas kan ik\b",
        r"(?:niet|geen)\b.{0,60}(?:beschrij|help|afbeelding|verzoek|foto)"
        r"|(?:beeld|afbeelding|verzoek|daar)\b.{0,20}\bniet\b",
    ),
    "Polish": _Tongue(
        r"\bprzepraszam\b|\bprzykro mi\b|\bniestety\b",
        r"\bnie (?:mogę|jestem w stanie)\b",
        r"opis|pomóc|pomoc|obraz|prośb|zdjęci",
    ),
    "Czech": _Tongue(
        r"\bomlouvám\b|\bje mi líto\b|\bbohužel\b", r"\bnemohu\b", r"popsat|pomoc|obráz|požad"
    ),
    "Russian": _Tongue(
        r"\bизвините\b|\bкак (?:языковая модель|ии)\b|\bк сожалению\b|\bпростите\b",
        r"\bя не (?:могу|в состоянии|имею)\b",
        r"описа|помоч|помощ|изображ|запрос|картин|предостав",
    ),
    "Ukrainian": _Tongue(
        r"\bвибачте\b|\bна жаль\b", r"\bя не (?:можу|в змозі)\b", r"описа|допомог|зображен|запит"
    ),
    "Turkish": _Tongue(
        r"\büzgünüm\b|\bmaalesef\b",
        r"\bbu (?:görsel|isteğ|içeri|resm)",
        r"(?:ama|eme)(?:m|yorum|z)\b|mıyorum|miyorum|mümkün değil|yardımcı ol",
    ),
    "Swedish": _Tongue(
        r"\btyvärr\b|\bjag är ledsen\b|\bförlåt\b",
        r"\bjag kan (?:tyvärr )?inte\b",
        r"beskriv|hjälp|\bbild|begäran",
    ),
    "Indonesian": _Tongue(
        r"\bmaaf\b",
        r"\bsaya tidak (?:dapat|bisa)\b",
        r"gambar|membantu|permintaan|deskripsi|menjelaskan",
    ),
    "Vietnamese": _Tongue(
        r"xin lỗi|rất tiếc", r"tôi không thể", r"mô tả|hình ảnh|giúp|yêu cầu|hỗ trợ"
    ),
    "Japanese": _Tongue(
        r"申し訳|すみません|ごめん|恐れ入り",
        r"画像|写真|リクエスト|この内容|ご要望|^私",
        r"(?:説明|回答|答え|記述|処理|対応|表示|提供|確認|手伝い).{0,12}"
        r"(?:できません|できない|できかね|いたしかね|しかねます|控え)|お断り",
    ),
    "Chinese": _Tongue(
        r"抱歉|对不起|對不起|很遗憾|很遺憾|作为(?:一个|一名)?(?:ai|人工智能|语言模型)",
        r"^我(?:无法|無法|不能|不可以|没办法|沒辦法|看不到|不方便)",
        r"描述|提供|图|圖|请求|請求|帮|幫|协助|協助|内容|內容|处理|處理|回答",
    ),
    "Korean": _Tongue(
        r"죄송|미안|유감",
        r"이미지|사진|요청|저는",
        r"(?:설명|처리|도와|제공|응답|묘사|답변)\S*(?: 드릴)? 수(?:가)? 없|어렵습니다",
    ),
    "Arabic": _Tongue(
        r"عذر|آسف|أعتذر|للأسف", r"لا أستطيع|لا يمكنني|لا أقدر", r"وصف|صور|مساعد|طلب|تقديم"
    ),
    "Hebrew": _Tongue(r"מצטער|סליחה", r"איני יכול|אני לא יכול|לא אוכל", r"לתאר|תמונה|לעזור|בקשה"),
    "Hindi": _Tongue(r"माफ़|माफ|क्षमा|खेद", r"मैं (?:इस|आपकी|यह)", r"नहीं (?:कर|दे|बता)|असमर्थ"),
    "Thai": _Tongue(r"ขออภัย|ขอโทษ|เสียใจ", r"ฉันไม่สามารถ|ผมไม่สามารถ", r"อธิบาย|ภาพ|ช่วย|คำขอ"),
}

REFUSALS = re.compile(
    "|".join(
        f"(?:{t.sorry}).{{0,40}}?(?:{t.cannot}|{t.asked})|(?:{t.cannot})[^.,;!?。，]{{0,60}}?(?:{t.asked})"
        for t in _TONGUES.values()
    )
)
"""Finds one in a text that is casefolded and has single blanks."""
