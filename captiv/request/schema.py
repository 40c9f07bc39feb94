"""Which schema answers are to fit: `--schema`."""

import json
from pathlib import Path

from captiv.catalog import Family
from captiv.core.naming import extension_of
from captiv.core.spec import Output
from captiv.core.structure import MAX_FILE_BYTES, NAMED, Schema, checked
from captiv.errors import UsageError
from captiv.request.options import Options
from captiv.wire import Generation

_MOST_TOKENS = 1024
"""Of an object, unless a person says otherwise: 50 boxes take some 900."""
_REPEATING = {"no_repeat_ngram_size": 0, "repetition_penalty": 1.0, "presence_penalty": 0.0}


def schema_asked(options: Options, family: Family, output: Output) -> Schema | None:
    """Return the schema that answers are to fit; None if they are plain texts.

    Raises:
        UsageError: it is none that captiv takes; or this model, or another option, has no use for
            one.
    """
    if options.schema is None:
        return None
    if not family.architecture.chats or not family.takes_prompt:
        raise UsageError(
            f"{family.name} is no chat model: it can't be asked for what --schema describes.",
            hint="Take a chat model, such as qwen-vl or joycaption.",
        )
    if options.add is not None:
        raise UsageError("--add adds to a text, and --schema asks for an object.")
    if extension_of(output.sidecar_of("a.jpg")).casefold() == ".json":
        raise UsageError(
            "--schema already writes .json files, so the texts need another extension.",
            hint="Give them another one with --extension, such as .txt.",
        )
    return _schema(options.schema)


def for_objects(generation: Generation, defaults: Generation) -> Generation:
    """Return how an object is decoded: it ends where it is whole, and may be longer than a text.

    Its names come again and again, so what keeps a text from repeating itself breaks it.

    Args:
        generation: what a person said of it.
        defaults: the family's.
    """
    most = max(defaults.max_new_tokens or 0, _MOST_TOKENS)
    return generation.over(
        defaults.model_copy(update={"min_new_tokens": 0, "max_new_tokens": most, **_REPEATING})
    )


def _schema(name: str) -> Schema:
    if name in NAMED:
        return checked(json.dumps(NAMED[name]), name)
    try:
        path = Path(name).expanduser()
        data = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
    except (OSError, ValueError, RuntimeError) as error:  # a home that there is not is the last
        reason = "it is a folder" if isinstance(error, IsADirectoryError) else _reason(error)
        raise UsageError(
            f"There is no schema {name!r}: {reason}.",
            hint=f"Give a file, or one that captiv has: {', '.join(NAMED)}.",
        ) from error
    if data is None:
        raise UsageError(f"The schema {name} has more than {MAX_FILE_BYTES // 1024} kB.")
    try:
        return checked(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise UsageError(f"The schema {name} isn't text in UTF-8.") from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")
