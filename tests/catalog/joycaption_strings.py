"""JoyCaption's strings a second time and another way, so that a slip in the file is seen.

Read off the authors' page, not the file: in ASCII, each form by what it adds to the plain one and
where, and the options by their keys.
"""

TYPES: dict[str, tuple[str, tuple[str, str], tuple[str, str]]] = {
    "Descriptive": (
        "Write a detailed description for this image.",
        ("for this image", " in {word_count} words or less"),
        ("Write a", " {length}"),
    ),
    "Descriptive (Casual)": (
        "Write a descriptive caption for this image in a casual tone.",
        (" a casual tone", " within {word_count} words"),
        ("Write a", " {length}"),
    ),
    "Straightforward": (
        (
            "Write a straightforward caption for this image. Begin with the main subject "
            "and medium. Mention pivotal elements\u2014people, objects, "
            "scenery\u2014using confident, definite language. Focus on concrete details "
            "like color, shape, texture, and spatial relationships. Show how elements "
            "interact. Omit mood and speculative wording. If text is present, quote it "
            "exactly. Note any watermarks, signatures, or compression artifacts. Never "
            "mention what's absent, resolution, or unobservable details. Vary your "
            "sentence structure and keep the description concise, without starting with "
            "\u201cThis image is\u2026\u201d or similar phrasing."
        ),
        ("for this image", " within {word_count} words"),
        ("Write a", " {length}"),
    ),
    "Stable Diffusion Prompt": (
        (
            "Output a stable diffusion prompt that is indistinguishable from a real "
            "stable diffusion prompt."
        ),
        ("fusion prompt.", " {word_count} words or less."),
        ("Output a", " {length}"),
    ),
    "MidJourney": (
        "Write a MidJourney prompt for this image.",
        ("for this image", " within {word_count} words"),
        ("Write a", " {length}"),
    ),
    "Danbooru tag list": (
        (
            "Generate only comma-separated Danbooru tags (lowercase_underscores). Strict "
            "order: `artist:`, `copyright:`, `character:`, `meta:`, then general tags. "
            "Include counts (1girl), appearance, clothing, accessories, pose, "
            "expression, actions, background. Use precise Danbooru syntax. No extra text."
        ),
        ("No extra text.", " {word_count} words or less."),
        ("No extra text.", " {length} length."),
    ),
    "e621 tag list": (
        (
            "Write a comma-separated list of e621 tags in alphabetical order for this "
            "image. Start with the artist, copyright, character, species, meta, and lore "
            "tags (if any), prefixed by 'artist:', 'copyright:', 'character:', "
            "'species:', 'meta:', and 'lore:'. Then all the general tags."
        ),
        (" general tags.", " Keep it under {word_count} words."),
        ("Write a", " {length}"),
    ),
    "Rule34 tag list": (
        (
            "Write a comma-separated list of rule34 tags in alphabetical order for this "
            "image. Start with the artist, copyright, character, and meta tags (if any), "
            "prefixed by 'artist:', 'copyright:', 'character:', and 'meta:'. Then all "
            "the general tags."
        ),
        (" general tags.", " Keep it under {word_count} words."),
        ("Write a", " {length}"),
    ),
    "Booru-like tag list": (
        "Write a list of Booru-like tags for this image.",
        ("for this image", " within {word_count} words"),
        ("Write a", " {length}"),
    ),
    "Art Critic": (
        (
            "Analyze this image like an art critic would with information about its "
            "composition, style, symbolism, the use of color, light, any artistic "
            "movement it might belong to, etc."
        ),
        ("elong to, etc.", " Keep it within {word_count} words."),
        ("elong to, etc.", " Keep it {length}."),
    ),
    "Product Listing": (
        "Write a caption for this image as though it were a product listing.",
        ("oduct listing.", " Keep it under {word_count} words."),
        ("Write a", " {length}"),
    ),
    "Social Media Post": (
        "Write a caption for this image as if it were being used for a social media post.",
        ("al media post.", " Limit the caption to {word_count} words."),
        ("Write a", " {length}"),
    ),
}
"""Plain text; after what, and what, a number of words adds; the same for a word of length."""

OPTIONS: dict[str, str] = {
    "character_name": (
        "If there is a person/character in the image you must refer to them as {name}."
    ),
    "exclude_immutable": (
        "Do NOT include information about people/characters that cannot be changed "
        "(like ethnicity, gender, etc), but do still include changeable attributes "
        "(like hair style)."
    ),
    "include_lighting": "Include information about lighting.",
    "include_camera_angle": "Include information about camera angle.",
    "include_watermark": "Include information about whether there is a watermark or not.",
    "include_jpeg_artifacts": "Include information about whether there are JPEG artifacts or not.",
    "include_camera_details": (
        "If it is a photo you MUST include information about what camera was likely "
        "used and details such as aperture, shutter speed, ISO, etc."
    ),
    "keep_pg": "Do NOT include anything sexual; keep it PG.",
    "exclude_resolution": "Do NOT mention the image's resolution.",
    "include_quality": (
        "You MUST include information about the subjective aesthetic quality of the "
        "image from low to very high."
    ),
    "include_composition": (
        "Include information on the image's composition style, such as leading "
        "lines, rule of thirds, or symmetry."
    ),
    "exclude_text": "Do NOT mention any text that is in the image.",
    "include_depth_of_field": (
        "Specify the depth of field and whether the background is in focus or blurred."
    ),
    "include_lighting_source": (
        "If applicable, mention the likely use of artificial or natural lighting sources."
    ),
    "exclude_ambiguity": "Do NOT use any ambiguous language.",
    "include_content_rating": "Include whether the image is sfw, suggestive, or nsfw.",
    "focus_important_elements": "ONLY describe the most important elements of the image.",
    "exclude_artist_info": (
        "If it is a work of art, do not include the artist's name or the title of the work."
    ),
    "include_orientation": (
        "Identify the image orientation (portrait, landscape, or square) and aspect "
        "ratio if obvious."
    ),
    "use_vulgar_language": (
        'Use vulgar slang and profanity, such as (but not limited to) "fucking," '
        '"slut," "cock," etc.'
    ),
    "use_blunt_phrasing": "Do NOT use polite euphemisms\u2014lean into blunt, casual phrasing.",
    "include_ages": "Include information about the ages of any people/characters when applicable.",
    "include_shot_type": (
        "Mention whether the image depicts an extreme close-up, close-up, medium "
        "close-up, medium shot, cowboy shot, medium wide shot, wide shot, or extreme "
        "wide shot."
    ),
    "exclude_mood": "Do not mention the mood/feeling/etc of the image.",
    "include_vantage_height": (
        "Explicitly specify the vantage height (eye-level, low-angle "
        "worm\u2019s-eye, bird\u2019s-eye, drone, rooftop, etc.)."
    ),
    "mention_watermark": "If there is a watermark, you must mention it.",
    "avoid_meta_phrases": (
        "Your response will be used by a text-to-image model, so avoid useless meta "
        'phrases like \u201cThis image shows\u2026\u201d, "You are looking at...", '
        "etc."
    ),
}

LENGTHS = ["any", "very short", "short", "medium-length", "long", "very long"] + [
    str(words) for words in range(20, 261, 10)
]


def forms(kind: str) -> tuple[str, str, str]:
    plain, *added = TYPES[kind]
    by_count, by_length = (plain.replace(after, after + text, 1) for after, text in added)
    return plain, by_count, by_length
