"""What a checkpoint of one's own says of how it decodes, where captiv follows it."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from captiv.wire import Generation

FILE: Final = "generation_config.json"
"""Where a checkpoint says it."""

_FOLLOWED: Final = ("no_repeat_ngram_size", "early_stopping")
"""The rest is the family's: lengths are those of captions, and a search is greedy, with beams or
sampled as the catalog has it."""


def own_decoding(said: Mapping[str, Any]) -> Generation:
    """Return what this generation_config.json says and changes; what captiv can't take is left out.

    transformers would follow it in silence. Here it becomes a setting, which is shown and can be
    set to something else.
    """
    own: dict[str, int] = {}
    for name in _FOLLOWED:
        value = said.get(name)
        if not value or not isinstance(value, int):
            continue
        try:
            own |= Generation.model_validate({name: value}).model_dump(exclude_none=True)
        except ValidationError:
            continue
    return Generation(**own)
