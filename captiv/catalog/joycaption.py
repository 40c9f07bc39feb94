"""JoyCaption's prompts: the strings that the model was trained on, from `joycaption-matrix.json`.

The file is a copy of its authors' table (fpgaminer/joycaption, gradio-app/app.py) and the only
source: a curly quote or a blank that differs is another prompt to the model. Keys are those of the
first captiv; the twelve modes that it made up are kept, and marked as not trained.
"""

import json
import pkgutil
from typing import Any

from captiv.catalog.model import Mode, Option

_KINDS = {
    "descriptive": "Descriptive",
    "descriptive_casual": "Descriptive (Casual)",
    "straightforward": "Straightforward",
    "stable_diffusion": "Stable Diffusion Prompt",
    "midjourney": "MidJourney",
    "danbooru": "Danbooru tag list",
    "e621": "e621 tag list",
    "rule34": "Rule34 tag list",
    "booru": "Booru-like tag list",
    "art_critic": "Art Critic",
    "product_listing": "Product Listing",
    "social_media": "Social Media Post",
}
"""Our name of each caption type in the file."""

_REMARKS = {
    "descriptive_casual": "now and then odd",
    "stable_diffusion": "some 3 % of answers go wrong",
    "midjourney": "may loop",
    "danbooru": "tags are less accurate than sentences",
    "e621": "tags are less accurate than sentences",
    "rule34": "tags are less accurate than sentences",
    "booru": "may loop",
}
"""What its author says of the weaker types."""

_FREE = {
    "default": "Describe this image.",
    "descriptive_formal": "Generate a formal, detailed description of this image",
    "creative": "Create an imaginative, creative caption for this image.",
    "technical": "Provide a technical analysis of this image with precise details.",
    "poetic": "Write a poetic description of this image using vivid imagery.",
    "storytelling": "Create a short story inspired by this image.",
    "emotional": "Describe the emotional impact and mood of this image.",
    "humorous": "Write a humorous caption for this image.",
    "seo_friendly": "Create an SEO-friendly description for this image.",
    "accessibility": "Write an accessibility-focused description of this image.",
    "concise": "Provide a concise, brief description of this image.",
    "detailed": "Create a highly detailed description of this image.",
}
"""Modes of the first captiv that are in no table of the authors."""

_OPTIONS = (
    "character_name",
    "exclude_immutable",
    "include_lighting",
    "include_camera_angle",
    "include_watermark",
    "include_jpeg_artifacts",
    "include_camera_details",
    "keep_pg",
    "exclude_resolution",
    "include_quality",
    "include_composition",
    "exclude_text",
    "include_depth_of_field",
    "include_lighting_source",
    "exclude_ambiguity",
    "include_content_rating",
    "focus_important_elements",
    "exclude_artist_info",
    "include_orientation",
    "use_vulgar_language",
    "use_blunt_phrasing",
    "include_ages",
    "include_shot_type",
    "exclude_mood",
    "include_vantage_height",
    "mention_watermark",
    "avoid_meta_phrases",
)
"""Our key of each extra option, in the order of the file."""

_AGAINST = {
    "use_vulgar_language": ("keep_pg",),
    "use_blunt_phrasing": ("keep_pg",),
    "exclude_text": ("straightforward",),
}


def _matrix() -> dict[str, Any]:
    data = pkgutil.get_data("captiv.catalog", "joycaption-matrix.json")
    assert data is not None
    return dict(json.loads(data))


def _trained(name: str, kind: str, texts: list[str]) -> Mode:
    plain, by_count, by_length = texts
    remark = _REMARKS.get(name)
    description = f"{kind}; {remark}" if remark else kind
    return Mode(name, plain, description, by_count=by_count, by_length=by_length)


_MATRIX = _matrix()

MODES: tuple[Mode, ...] = (
    *(_trained(name, kind, _MATRIX["caption_types"][kind]) for name, kind in _KINDS.items()),
    *(Mode(name, text, "Of the first captiv", trained=False) for name, text in _FREE.items()),
)
"""Twelve caption types in three forms each, then twelve free modes."""

DEFAULT_MODE = "descriptive"

OPTIONS: tuple[Option, ...] = tuple(
    Option(key, text, _AGAINST.get(key, ()))
    for key, text in zip(_OPTIONS, _MATRIX["extra_options"], strict=True)
)

LENGTHS: tuple[str, ...] = tuple(_MATRIX["lengths"])
