"""What is wrong with an image, its caption or its file, or with what it needs on this machine."""

from captiv.errors.base import CaptivError, Fault


class ImageError(CaptivError):
    """One image cannot be captioned; its neighbours can."""

    code = "image"
    fault = Fault.IMAGE


class ImageUnreadable(ImageError):
    """The file is truncated, empty, damaged, or no image at all."""

    code = "image_unreadable"


class ImageTooLarge(ImageError):
    """The file has more bytes or pixels than captiv opens."""

    code = "image_too_large"


class ImageMissing(ImageError):
    """The file was there at the scan and is gone, or may not be read."""

    code = "image_missing"


class ImageRefused(ImageError):
    """The worker refuses this image, and takes others that are asked alike."""

    code = "image_refused"


class ImageCrashes(ImageError):
    """The process that touched this image, alone, died of it twice."""

    code = "image_crashes"


class SidecarShared(ImageError):
    """Two images would write the same sidecar."""

    code = "sidecar_shared"
    hint = "Use --sidecar-name full (a.jpg.txt), or rename one of the images."


class SidecarUnreadable(ImageError):
    """A caption is to be added to a sidecar that cannot be read."""

    code = "sidecar_unreadable"


class AnswerError(CaptivError):
    """The model answered, but not with a caption: see `captiv.core.answers.Fault`."""

    code = "degenerate"
    fault = Fault.MODEL


class SidecarError(CaptivError):
    """The caption is safe in the store, but its file cannot be written."""

    code = "sidecar_unwritable"
    fault = Fault.DISK
    passing = False
    """Whether it may be written a moment later: the machine is short of something."""
    taken = False
    """Whether the file has its new content all the same, and a power cut may take that away."""


class MachineShort(CaptivError):
    """The machine is short of files, threads or memory, or a disk fails: no image's fault.

    `reason` says what is short, in words to go on a sentence with. `own` if it may be of one file
    alone: a picture too large for the memory, a bad sector.
    """

    code = "machine_short"
    fault = Fault.MACHINE

    def __init__(self, reason: str, *, own: bool = False, hint: str | None = None) -> None:
        super().__init__(f"{reason[0].upper()}{reason[1:]}.", hint=hint)
        self.reason = reason
        self.own = own


class CaptionChanged(CaptivError):
    """The caption is not the one that the person edited; `text` is what is there now, if any."""

    code = "caption_changed"
    hint = "Compare the two texts, and keep the one you want."

    def __init__(self, message: str, *, text: str | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.text = text
