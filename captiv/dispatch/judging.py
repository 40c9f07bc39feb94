"""What a worker's answer is worth: a caption, an object with its text, or nothing."""

import logging
from dataclasses import dataclass
from functools import partial

from captiv.core import answers
from captiv.core.jobs import Companion
from captiv.core.spec import RunSpec
from captiv.core.structure import Misfit, Structured, schema_of, structured
from captiv.errors import AnswerError
from captiv.images.prepare import Prepared
from captiv.offload import offload
from captiv.wire import CaptionReply

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """An answer that is a caption."""

    text: str
    """Of the sidecar, without prefix and suffix."""
    companion: Companion | None = None


@dataclass(frozen=True, slots=True)
class Miss:
    """An answer that is none."""

    error: AnswerError
    objection: str | None = None
    """What the model is told with the next try; None if nothing."""


async def judged(
    reply: CaptionReply, spec: RunSpec, prepared: Prepared, image: str
) -> Taken | Miss:
    """Return what an answer about this image is worth."""
    if spec.captioning.answer_schema is not None:
        found = await offload(partial(_object, reply, spec.captioning.answer_schema, prepared))
        if isinstance(found, Misfit):
            error = AnswerError(f"The model's answer doesn't fit the schema: {found.why}.")
            return Miss(error, found.why)
        return Taken(found.text, Companion(spec.output.object_of(image), found.object))
    miss = _miss(reply, spec)
    if miss is not None:
        return Miss(AnswerError(f"The model's answer is no caption: {miss.reason}."))
    return Taken(reply.caption)


def _object(reply: CaptionReply, schema: str, prepared: Prepared) -> Structured | Misfit:
    """Read the answer; on a thread, for the first one imports the validator."""
    width_px, height_px = prepared.whole_px
    asked = schema_of(schema)
    try:
        return structured(
            reply.caption, asked, reply.finish, width_px=width_px, height_px=height_px
        )
    except Exception:  # schema and answer are somebody's: what they do to a validator ends no run
        _log.exception("schema check failed")
        return Misfit("it can't be checked against the schema")


def _miss(reply: CaptionReply, spec: RunSpec) -> answers.Verdict | None:
    """Return what is wrong with an answer; None if it is a caption.

    Tags repeat words as no sentence does (hair bow, hair ribbon, long hair), and a tagger neither
    loops nor declines.
    """
    if spec.captioning.tagging is not None:
        none = answers.Verdict(answers.Fault.EMPTY, "no tag scores above its threshold")
        return None if reply.caption else none
    return answers.judge(
        reply.caption,
        reply.finish,
        limited_by_user=spec.answers.limited_by_user,
        asked=answers.told(spec.captioning),
    )
