"""Tells a model that declines from a caption of something that does. Pure.

A refusal speaks of the request: somebody cannot describe, help with, see this image. It stands at
the beginning. Captions may say `I can't` as well: posts do ("I can't get enough of this view"), and
pictures show it (a screen with the words "I can't help you"). So it takes a verb of service and
its object, and what is quoted, or told to be written somewhere, is a picture's own text.
"""

import re

from captiv.core.answers.tongues import REFUSALS

_LEADING = 320
"""Characters at the beginning in which a refusal begins."""
_FOREIGN_WITHIN = 40
"""The same for other languages, of which less is known."""

_STRAIGHT = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"'})  # noqa: RUF001
_LABEL = re.compile(
    r"^(?:[\s*_#>`~-]+|i(?:'d| would) be (?:happy|glad|delighted) to [^.!?,]{0,50}[.!,]+\s*"
    r"(?:but |however,? |though )?|(?:assistant|caption|answer|response|output|note|ai)\s*:[\s*]*"
    r"|(?:hello|hi|hey|hmm+|well|oh|okay|thanks|thank you)\b[^.!,:?]{0,30}[.!,:]+\s*)+"
)
"""What may stand before a refusal: marks, a speaker's name, a greeting."""


def _rule(*parts: str) -> re.Pattern[str]:
    return re.compile("".join(parts))


def _any(*words: str) -> str:
    return f"(?:{'|'.join(words)})"


_QUOTED = _rule(
    _any(r'"[^"]+"', "«[^»]+»", '„[^"]+"', "「[^」]+」", "『[^』]+』", r"(?<!\w)'[^\"]+?'(?!\w)")
)
_SAID = _rule(
    r"^[^.!?]{0,100}\b",
    _any(
        "that (?:says|reads|states|spells|shows)",
        "saying|stating|is reading|titled",
        "with the (?:text|words?|message|caption|phrase|title|slogan|inscription|line)",
    ),
    r"\b",
)
"""The first clause is about a text."""
_WRITTEN = _rule(
    r"[,:;.-]\s[^.]{0,60}\b",
    _any("letters|lettering|words|text|writing|slogan|inscription|typography|printed|written"),
    r"\b[^.]{0,40}\b",
    _any("on|in|over|across|above|under|against|at|inside"),
    r"\b",
)
"""A text is given first, and then where it is written."""
_ASKED = _rule(r"[.!?,]\W*\b(?:asks?|says?|reads?|shouts?|thinks?) (?:the|an?|his|her|my)\b")
"""A text is given first, and then who says it."""

_WHO = r"^(?:[^.!?]{0,60}\b)?(?:i|we|i am|i'm|we are)\b ?"
_NOT = _any(
    "can't|cannot|can not|cant|couldn't|could not|won't|will not|won't be|will not be",
    "am not|'m not|are not|aren't|was not|wasn't|were not|weren't|do not|don't",
    "am unable|'m unable|are unable|unable",
    "must decline|have to decline|decline|refuse|would not|wouldn't|should not|shouldn't|must not",
)
_SERVE = _any(
    r"describ\w+|help|assist|provid\w+|generat\w+|analy[sz]\w+|fulfil\w*|creat\w+|comment",
    "process|identify|recogni[sz]e|engage|write|caption(?:ing)?|respond|interpret|comply|elaborate",
    "discuss|answer|complete|continue|produce|offer|support|do|give|talk|share|transcribe",
    "make|perform|participate|depict|handle|review|examine|determine|label|annotate",
    "tell (?:you )?(?:about|anything|more|what|who)",
)
_SEE = "(?:view|see|access|open|display|look at|load|read)"
"""Who does not see a man's face describes a picture; who does not see the picture, none."""
_THING = _any(
    r"images?|photos?|photographs?|pictures?|requests?|contents?|materials?|tasks?|quer(?:y|ies)",
    "prompts?|attachments?|captions?|descriptions?|instructions?|links?|files?|nudity|uploads?",
    r"(?:real )?(?:people|persons?|individuals?)|faces?|anything|visuals?|screenshots?|subjects?",
)
_SENT = _any(
    r"images?|photos?|photographs?|pictures?|requests?|contents?|tasks?|quer(?:y|ies)|prompts?",
    "attachments?|instructions?|links?|files?|uploads?|screenshots?|visuals?|descriptions?",
    "materials?|nudity|real (?:people|persons?|individuals?)",
)
"""What a person sends or asks for, and no picture is of."""
_AFTER = _any(
    "as (?:it|this|that|i|we|the|an?|such)|because|due|since|at|without|directly|request|here|now",
    "for|please|is there|if you|i can",
    "let me",
)
_SORRY = r"(?:(?:i'm|i am|we're|we are) )?(?:so |very |really |truly )?" + _any(
    "sorry|(?:my )?apologies|i apologi[sz]e"
)

_AGAINST = _any(r"violat\w+|breach\w*|against|not (?:comply|align) with|conflicts? with")
_POLICY = _any("policy|policies|guidelines|terms|rules|programming|principles|standards")

_RULES = (
    # I cannot describe this image; not: I can't describe how lovely this picture is
    _rule(
        _WHO + _NOT + r"\b[^.!?]{0,40}?\b" + _SERVE,
        rf"(?! (?:you )?(?:but|how|myself|enough)\b)(?:\W+[\w'-]+){{0,7}}?\W+{_THING}\b",
    ),
    # I am not able to see the image; not: I can't see the end of the queue in this picture
    _rule(
        _WHO + _NOT + r"\b[^.!?]{0,40}?\b" + _SEE,
        rf"(?: any of the)?(?:\W+[\w'-]+){{0,2}}?\W+{_SENT}\b(?! (?:without \w+ing|in|of|on)\b)",
    ),
    _rule(
        _WHO + _NOT + r"\b[^.!?]{0,40}?\b" + _SEE + r" (?:this|that|these)\s*(?:$|[.!?]|",
        r"(?:at the moment|right now|without more|because|due to|directly)\b)",
    ),
    # I can't assist with that
    _rule(
        _WHO + _NOT + r"\b[^.!?]{0,40}?\b" + _SERVE,
        r"(?: \w+)?(?: with| on| to| about| in| for)?(?: you)?(?: with)?",
        r" (?:this|that|it|these|those|such)\s*(?:$|[.,!?;:]|\b",
        _AFTER + r"\b)",
    ),
    # Unable to process the image
    _rule(
        r"^(?:sorry\W+|unfortunately\W+)?(?:unable|not able|not possible|impossible) to ",
        rf"{_SERVE}\b(?: \w+){{0,4}}? {_THING}\b",
    ),
    # This request cannot be fulfilled
    _rule(
        rf"^[^.!?]{{0,40}}\b(?:this|the|your|that) (?:\w+ )?{_SENT} (?:\w+ )?",
        _any("can ?not|can't|could not|couldn't|may not|will not|won't"),
        r" be (?:\w+ly )?",
        _any(
            "described|captioned|processed|fulfilled|completed|answered|handled|analy[sz]ed",
            "viewed|displayed|loaded|opened|accessed|retrieved|provided|generated|discussed",
            "decoded|identified|shared|supported|granted|assisted|interpreted|honou?red|done",
        ),
        r"\b(?! as\b)",
    ),
    # No image was provided
    _rule(
        rf"^[^.!?]{{0,40}}\b(?:no|any|an) {_SENT} ",
        r"(?:(?:was|were|is|are|has been|have been|appears to be|seems to be) )?(?:actually )?",
        _any("attached|provided|uploaded|shared|included|received|sent|supplied|in your"),
        r"\b(?! (?:of|in the|on)\b)",
    ),
    # You have not shared an image
    _rule(
        r"^[^.!?]{0,40}\byou (?:have not|haven't|did not|didn't|forgot to) (?:actually )?",
        r"(?:share|upload|attach|provide|includ|give|send|sent|suppl|past)\w* (?:me )?",
        rf"(?:(?:\w+ ){{0,2}}{_SENT}|one|it|anything)\b",
    ),
    # I don't see any image
    _rule(
        r"^[^.!?]{0,40}\bi (?:do not|don't|can not|cannot|can't) (?:actually )?see ",
        rf"(?:an|any|the|your) {_SENT}\b(?! (?:of|in|on)\b)",
    ),
    # Please upload an image
    _rule(
        r"^(?:\w+\W+)?please (?:upload|attach|share|send|provide|resend|re-upload) ",
        rf"(?!this|these)(?:\w+ ){{0,3}}{_SENT}\b",
    ),
    # The image did not come through; could you share it again?
    _rule(
        rf"^[^.!?]{{0,40}}\b{_SENT} ",
        _any("didn't|did not|doesn't|does not|hasn't|has not|failed to|wasn't|was not"),
        r" (?:seem to |appear to )?(?:have )?(?:be |been )?(?:c[oa]me (?:through|across|up)",
        r"|load(?:ed)?\b(?! (?:the|a|its|your)\b)",
        "|upload|attach|provided|shared|received|arrive)",
    ),
    _rule(
        r"^[^.!?]{0,60}\byour (?:message|request|prompt|upload|post|last message)\b[^.!?]{0,40}\b",
        rf"(?:without|lacks|missing|no|empty)\b(?: \w+){{0,2}}? {_SENT}\b",
    ),
    _rule(
        rf"^[^.!?]{{0,30}}\byour {_SENT} (?:\w+ )?",
        _any("appears?|seems?|is|looks?|may be|might be|must be|was"),
        r" (?:to (?:be|have been) )?(?:missing|corrupt\w*|unreadable|broken|damaged)\b",
    ),
    _rule(
        r"^(?:could|can|would) you (?:please )?(?:upload|attach|share|send|provide|resend)\b",
        rf"(?: (?:it|one|another one)\b(?! to\b)|(?: \w+){{1,3}}? {_SENT}\b)",
    ),
    _rule(rf"^[^.!?]{{0,40}}\bi(?:'d| would)? (?:need|have) to see (?:the|an|your) {_SENT}\b"),
    _rule(r"^i can only (?:see|read|process|work with|understand|handle) text\b"),
    _rule(r"^[^.!?]{0,40}\bi (?:do not|don't) have (?:direct )?(?:access|the ability)\b"),
    # It is against a policy; my guidelines prevent me
    _rule(
        rf"^[^.!?]{{0,120}}\b{_AGAINST}\b[^.!?]{{0,30}}\b",
        r"(?:my|our|(?:contents?|usage|safety|community|ethic\w*|openai\S*|use|platform)(?: \w+)?)",
        rf" {_POLICY}\b",
    ),
    _rule(
        r"^(?:sorry\W+|unfortunately\W+)?(?:because |since |as )?",
        _any("i|we|it|this|that|such|your|describing|captioning|doing"),
        r"\b[^.!?]{0,60}?\b",
        r"(?:violat\w+|breach\w*|(?:is|be|are|go|goes|going) against|conflicts? with)",
        rf"\b[^.!?]{{0,30}}\b{_POLICY}\b(?! of\b)",
    ),
    _rule(
        r"^[^.!?]{0,60}\b(?:outside|beyond) (?:of )?(?:my|our) ",
        _any(r"capabilit\w+|abilit\w+|scope|programming|guidelines|remit|limits"),
    ),
    _rule(
        r"^[^.!?]{0,60}\b(?:my|our) (?:guidelines|polic(?:y|ies)|rules|programming|instructions) ",
        _any("prevent|prohibit|forbid|do not|don't|does not|doesn't|require"),
    ),
    _rule(
        r"^[^.!?]{0,30}\bi(?: am|'m) (?:programmed|designed|trained|instructed)\b[^.!?]{0,60}\b",
        _any("not|don't|won't|cannot|can't|never"),
    ),
    _rule(r"^(?:request|access) (?:was )?(?:denied|refused|rejected|blocked)\b"),
    _rule(
        r"^\W*(?:error\W+)?(?:content|response|output|request|image|answer) ",
        "(?:(?:was|has been|is) )?",
        r"(?:removed|filtered|blocked|withheld|flagged|redacted|restricted)(?:\W*$",
        r"| (?:due to|because of|by) (?:\w+ ){0,3}?(?:policy|policies|filters?|moderation)\b)",
    ),
    _rule(r"^(?:content|usage|safety) (?:policy|filter) (?:violation|warning|triggered)"),
    # That is not something I can help with; it is beyond what I can do
    _rule(r"^[^.!?]{0,70}(?:isn't|'s not|is not) (?:something|anything) (?:that )?(?:i|we)\b"),
    _rule(r"^[^.!?]{0,60}\b(?:outside(?: of)?|beyond) what (?:i|we)\b"),
    # I have to decline; I will pass on this one
    _rule(
        r"^[^.!?]{0,30}\b(?:i|we)(?:'ll| will| must|'m| am)?\b[^.!?]{0,30}\b",
        _any(
            rf"(?:refuse|choose not) to {_SERVE}\b(?! these| my)",
            "decline (?:to|this|that|your|the)|pass on (?:this|that)",
        ),
    ),
    _rule(r"^[^.!?]{0,60}\b(?:request|image|task|one)\b[^.!?]{0,20}\bi (?:have|need) to turn down"),
    _rule(
        r"^[^.!?]{0,30}\b(?:i|we)\b[^.!?]{0,30}\b",
        r"(?:refrain from|steer clear of|stay away from|avoid) ",
        r"(?:describ|discuss|identif|comment|caption|generat|naming|providing)\w*",
    ),
    _rule(r"^(?:nope|no|nah)\W+(?:i )?(?:can't|cannot|won't) (?:do|help|describe|caption)\b"),
    _rule(
        rf"^{_SORRY}\b[^.!?]{{0,90}}\b(?:naming|describing|identifying|captioning)\b[^.!?]{{0,40}}\b",
        "(?:off the table|off limits|out of the question|impossible|beyond)",
    ),
    # What would you like me to do?
    _rule(
        r"^(?:what|how|which) [^.?!]{0,30}\b(?:would you like|do you want|can i|may i|should i)\b",
        r"(?: me to| help| assist| do for| do with)[^.?!]{0,60}\?",
    ),
    _rule(r"^let's (?:talk about|discuss|change|move on to) (?:something|the subject|another)"),
    # It is not appropriate for me to describe this
    _rule(
        r"^(?:[^.!?]{0,30}|[^.!?]{0,60}\b(?:i am|i'm) )\bnot (?:be |feel )?",
        _any("appropriate|comfortable|permitted|allowed|ethical"),
        rf"\b[^.!?]{{0,20}}? (?:to )?{_SERVE}\b",
    ),
    _rule(r"^[^.!?]{0,30}\bi don't feel comfortable\b"),
    _rule(
        r"^[^.!?]{0,30}\bnot (?:possible|able) (?:for me )?to ",
        rf"(?:describe|caption|process|provide|generate|fulfil\w*)\b(?: \w+){{0,5}} {_THING}\b",
    ),
    _rule(rf"^(?:i'd|i would|we'd|we would) (?:rather|prefer) not(?: to)? {_SERVE}\b"),
    # It has content that I cannot describe
    _rule(
        r"^[^.!?]{0,90}\b(?:content|material|imagery|nudity|violence|request)\b[^.!?]{0,40}\b",
        rf"(?:which|that) i(?: am|'m)? ?{_NOT}\b[^.!?]{{0,20}}\b{_SERVE}\s*(?:$|[.,!;])",
    ),
    # I can't help
    _rule(
        rf"^(?:sorry\W+|unfortunately\W+)?(?:i|we)(?: am|'m| are|'re)? ?{_NOT} (?:able )?(?:to )?",
        r"(?:help|assist|comply|continue|describe)(?: you)?(?:\W*$|[.!] )",
    ),
    # Image not found
    _rule(
        rf"^(?:error\W+)?(?:no {_SENT} (?:detected|found|available|provided|received)",
        rf"|{_SENT} not (?:found|available|loaded|provided|supported|received)",
        "|(?:unable|failed|could not|cannot) to? ?(?:load|open|read|process|decode|access|fetch)",
        rf" (?:the )?{_SENT})\W*$",
    ),
    _rule(r"^let me know (?:if you(?:'d| would) like me to|how i can help|if you need)\b"),
    # As an AI, I cannot; not: a woman dressed as an assistant
    _rule(
        r"^[^.!?]{0,50}\bas an? (?:\w+ )?",
        _any("ai|artificial|(?:large )?language model|(?:text|language)[- ]|assistant|chatbot|llm"),
        r"\b[^.!?]{0,80}\b(?:i|i'm|i've|me|my|we|our|us)\b",
    ),
    _rule(
        r"^(?:\w+\W+)?as an? (?:ai|large language|language)(?: model| assistant| language model)?,",
    ),
    # The assistant cannot comply
    _rule(
        r"^(?:the|this) (?:assistant|model|ai|system|chatbot) ",
        _any("can ?not|can't|is unable to|is not able to|won't|will not|declines? to"),
        r" (?:\w+ ){0,2}?(?:comply|describ|process|fulfil|assist|help|caption|generate|provide)",
    ),
    _rule(
        r"^(?:[^.!?]{0,20}\b)?i(?: am|'m) (?:just |only )?an? ",
        _any("ai|(?:large )?language model|text[- ]based"),
    ),
    # Sorry, no description can be given
    _rule(
        rf"^(?:{_SORRY}|unfortunately)\b[^.!?]{{0,60}}\b",
        _any("not|no|nothing|never|can't|cannot|unable|won't"),
        r"\b[^.!?]{0,50}\b",
        _any(r"describ\w+|description|assist\w*|process|request|policy|caption\w*|images?"),
        r"\b",
    ),
    # Nothing but an apology, and what may follow one
    _rule(
        rf"^(?:oh )?{_SORRY}(?:$|\W+",
        _any(
            "$|but$|for (?:the|any) (?:inconvenience|confusion)|let me know|is there anything",
            "please (?:provide|upload|try)|if you have|i can help|as it |because it |due to ",
            "since no |at the moment|it may violate|without more|directly",
        ),
        ")",
    ),
)


def refuses(text: str) -> bool:
    """Whether the answer declines instead of telling what is in the picture."""
    start = " ".join(text[: 2 * _LEADING].translate(_STRAIGHT).casefold().split())[:_LEADING]
    start = _unquoted(_LABEL.sub("", start))
    if _SAID.match(start):
        return False
    if any(rule.search(start) for rule in _RULES):
        return not (_WRITTEN.search(start) or _ASKED.search(start))
    return _refuses_in_another_tongue(start)


def _unquoted(start: str) -> str:
    """Return the beginning without what it quotes; an answer that is one quotation says it."""
    rest = _QUOTED.sub(" ", start)
    return rest if any(c.isalnum() for c in rest) else start.strip("\"'«»„「」『』 ")


def _refuses_in_another_tongue(start: str) -> bool:
    found = REFUSALS.search(start)
    return found is not None and found.start() < _FOREIGN_WITHIN
