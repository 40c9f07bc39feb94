"""Plain questions, for chat models whose authors name none."""

from typing import Final

from captiv.catalog.model import Mode

PLAIN: Final = Mode("default", "Describe this image.", "A plain question")
SHORT: Final = Mode("short", "Describe this image in one sentence.", "One sentence")
DETAILED: Final = Mode("detailed", "Describe this image in detail.", "Paragraphs")
TAGS: Final = Mode("tags", "List what is in this image as comma-separated tags.", "Tags")
TEXT: Final = Mode("text", "Read all the text in the image.", "The text in the picture")
