"""The schemas that captiv ships, by the names that `--schema` takes."""

from collections.abc import Mapping
from typing import Any, Final

_CAPTION: Final = {
    "type": "string",
    "minLength": 1,
    "description": "what the picture shows, in one or two sentences",
}

NAMED: Final[Mapping[str, Mapping[str, Any]]] = {
    "caption-tags": {
        "type": "object",
        "properties": {
            "caption": _CAPTION,
            "tags": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "maxItems": 40,
                "uniqueItems": True,
                "description": "one or two words each, the most important first",
            },
        },
        "required": ["caption", "tags"],
        "additionalProperties": False,
    },
    "objects": {
        "type": "object",
        "properties": {
            "caption": _CAPTION,
            "objects": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "label": {"type": "string", "minLength": 1},
                        "box": {
                            "type": "array",
                            "items": {"type": "number"},
                            "minItems": 4,
                            "maxItems": 4,
                            "format": "box",
                        },
                    },
                    "required": ["label", "box"],
                    "additionalProperties": False,
                },
                "minItems": 1,
                "maxItems": 50,
            },
        },
        "required": ["caption", "objects"],
        "additionalProperties": False,
    },
}
"""`caption-tags`: a caption and its tags; `objects`: a caption and where each object is."""
