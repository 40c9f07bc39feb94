"""The job table cannot be used."""

from captiv.errors.base import CaptivError, Fault
from captiv.exits import ExitCode


class StoreError(CaptivError):
    """The job table cannot be used."""

    code = "store"
    fault = Fault.DISK
    exit_code = ExitCode.CONFIGURATION


class StoreFull(StoreError):
    """The disk that holds the job table has no space left."""

    code = "store_full"
    hint = (
        "Free some space there, or move captiv's data with CAPTIV_HOME, and run the command again."
    )


class StoreBusy(StoreError):
    """Another process has held the job table for too long."""

    code = "store_busy"


class StoreShort(StoreError):
    """No more files may be opened, not even the job table."""

    code = "store_short"
    hint = "Raise the limit of open files (`ulimit -n`), and run the command again."


class StoreDamaged(StoreError):
    """The file is not a database of captiv's, or is damaged."""

    code = "store_damaged"


class StoreTooNew(StoreError):
    """The job table was written by a newer captiv."""

    code = "store_too_new"
    hint = "Upgrade captiv: pip install -U captiv"
