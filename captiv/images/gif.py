"""GIFs, of which the first frame alone is shown.

When it opens a file, Pillow's own reader paints what is to stand in the place of the first frame
once the second one follows: as large as that frame, and before anybody has asked for a pixel.
"""

from PIL import GifImagePlugin


class GifImageFile(GifImagePlugin.GifImageFile):
    """A GIF's first frame."""

    @property
    def disposal_method(self) -> int:
        """What becomes of a frame when the next one follows: none does."""
        return 0

    @disposal_method.setter
    def disposal_method(self, told: int) -> None:
        pass
