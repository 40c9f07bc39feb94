"""With which code a command ends: one table for all of them.

`errors` says which code each class of error has. A pod that may still bill goes before everything
but what a person has to mend first: see `with_pods`.
"""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What the code of a command says; `meaning` is what the documents and `--help` say of it."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Make a code that knows its meaning."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    DONE = 0, "every image that you asked for has its caption"
    LACKING = 1, "some images have no caption, or there was no image to read"
    USAGE = 2, "the command line asks for something that can't be"
    CONFIGURATION = 3, "the configuration, the provider's account or the job table is wrong"
    NO_WORKER = 4, "no worker was available"
    MAY_BILL = 5, "a rented pod may still bill: captiv prints where to terminate it"
    INTERNAL = 70, "a defect in captiv: the log file has its traceback"
    INTERRUPTED = 130, "interrupted: captiv prints the command that resumes"
    READER_LEFT = (
        141,
        (
            "the program that read the output has ended (`| head`), and the captions went nowhere "
            "else (`--no-save`)"
        ),
    )


_LESS_URGENT = (
    ExitCode.DONE,
    ExitCode.LACKING,
    ExitCode.NO_WORKER,
    ExitCode.INTERRUPTED,
)


def with_pods(code: int, *, may_bill: bool) -> int:
    """Return the code of a command that ends with `code` while a pod of its may still bill."""
    return ExitCode.MAY_BILL if may_bill and code in _LESS_URGENT else code


def in_words() -> str:
    """Return the table as one paragraph, for `--help`."""
    return f"Exit codes: {'; '.join(f'{code.value} {code.meaning}' for code in ExitCode)}."
