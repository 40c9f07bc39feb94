"""Finds the parts of a chat that a model wrote into its answer: marks, and lines of roles. Pure.

A picture may show a chat, list its crew, or have an assistant in it. So a role counts where a
template puts one: at the very beginning, or as one of two that speak in turn at the beginning of
lines; and what is quoted, or announced as a conversation, is the picture's own text.
"""

# ruff: noqa: RUF001 - letters and marks of other scripts look like Latin ones

import re

from captiv.core.answers.quotations import without

_CLOSING = '"”»“」』`'
_QUOTED = re.compile(rf"[\"“«„「『`][^{_CLOSING}]*[{_CLOSING}]")

_MARK = re.compile(
    r"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|end|endoftext|user|assistant|"
    r"system|begin_of_text|end_of_turn)\|>|</?(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
    r"|^#{2,3} ?(?:Human|Assistant|User|Instruction|Response|Input|System)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
"""Marks of chat templates."""

_ASKS = (
    "user", "human", "benutzer", "nutzer", "utilisateur", "usuario", "usuário", "utente",
    "gebruiker", "użytkownik", "пользователь", "用户", "用戶", "ユーザー", "사용자",
)  # fmt: skip
_ANSWERS = (
    "assistant", "ai", "chatbot", "assistent", "asistente", "assistente", "asystent", "ассистент",
    "помощник", "助手", "アシスタント", "어시스턴트", "도우미",
)  # fmt: skip
_FIRST = (*_ANSWERS[0:1], *_ANSWERS[3:])
"""Those that a caption does not begin with: an AI, or a chatbot, may be its title."""

_COLON = r"[*_]*\s?[:：]"


def _line(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"^[\s*_#>]*(?:{'|'.join(names)}){_COLON}", re.IGNORECASE | re.MULTILINE)


_ASKING, _ANSWERING = _line(_ASKS), _line(_ANSWERS)
_BEGINS = re.compile(rf"[\s*_#>]*(?:{'|'.join(_FIRST)}){_COLON}", re.IGNORECASE)
_ALONE = re.compile(r"^\s*(?:assistant|user|system)[ \t]*\n+\s*\S", re.MULTILINE)
"""A header without its marks: a line of its own, with something after it."""
_GLUED = re.compile(r"[.!?。！？]assistant[ \t]*(?:\n|$)")
"""A header that follows the end of an answer."""
_IN_TURN = re.compile(r"\bUSER: .+\bASSISTANT: ", re.DOTALL)

_SHOWN = re.compile(
    r"\b(?:chat|conversation|dialogue?|screenshot|transcript|messages?|interview|script)\b"
    r"|gespräch|unterhaltung|bildschirmfoto|capture d'écran|captura|截图|聊天|スクリーンショット",
    re.IGNORECASE,
)
"""What is said first where a picture shows a conversation."""


def speaks_roles(text: str) -> bool:
    """Return whether marks or role lines of a chat stand in the answer."""
    own = without(_QUOTED, _CLOSING, text)
    if _MARK.search(own) or _BEGINS.match(own) or _GLUED.search(own) or _ALONE.search(own):
        return True
    first = _ASKING.search(own)
    if _IN_TURN.search(own):
        return True
    return (
        first is not None
        and _ANSWERING.search(own) is not None
        and not _SHOWN.search(own[: first.start()])
    )
