"""Answers that are JSON objects: the schema that is asked for, and what is made of an answer."""

from captiv.core.structure.answer import Structured, structured
from captiv.core.structure.asking import asked_again, asked_for, bare
from captiv.core.structure.misfit import Misfit
from captiv.core.structure.named import NAMED
from captiv.core.structure.schemas import MAX_FILE_BYTES, Schema, checked, schema_of

__all__ = [
    "MAX_FILE_BYTES",
    "NAMED",
    "Misfit",
    "Schema",
    "Structured",
    "asked_again",
    "asked_for",
    "bare",
    "checked",
    "schema_of",
    "structured",
]
