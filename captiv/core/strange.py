"""Captions of pictures that a model was not made for: counted, and said once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strange:
    """How many captions a model that knows drawn scenes alone made, and of what."""

    model: str
    captions: int = 0
    others: int = 0
    """Of pictures that are no drawn scenes."""

    def with_one(self, *, other: bool) -> "Strange":
        """Return the same with one caption more."""
        return Strange(self.model, self.captions + 1, self.others + other)

    def sentence(self, *, saved: bool) -> str:
        """Return what a person should know and do; `saved` tells whether there are sidecars."""
        are = (
            "is of another picture and may mean"
            if self.others == 1
            else "are of others and may mean"
        )
        replacing = ", and --overwrite, which replaces these captions" if saved else ""
        return (
            f"The built-in model {self.model} knows drawn scenes of coloured shapes and nothing"
            f" else: {self.others:,} of the {self.captions:,} captions that it made {are} nothing."
            " For your pictures run the same with --model blip, or another of"
            f" `captiv model list`{replacing}."
        )
