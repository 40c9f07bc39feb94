"""The root of the tree, what ends a command or a run by itself, and how errors are found again."""

from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar

from captiv.exits import ExitCode


class Fault(StrEnum):
    """Who has to change something before the same work can succeed."""

    PERSON = "person"
    IMAGE = "image"
    MODEL = "model"
    WORKER = "worker"
    PROVIDER = "provider"
    DISK = "disk"
    MACHINE = "machine"


class CaptivError(Exception):
    """Anything captiv reports in one line and a hint instead of a traceback."""

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = Fault.PERSON
    exit_code: ClassVar[ExitCode] = ExitCode.LACKING
    hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint


class UsageError(CaptivError):
    """The command line asks for something that cannot be."""

    code = "usage"
    exit_code = ExitCode.USAGE


class Interrupted(CaptivError):
    """A signal came before anything was begun."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


class ConfigurationError(CaptivError):
    """The configuration file or the environment is wrong."""

    code = "configuration"
    exit_code = ExitCode.CONFIGURATION


class TunnelFailed(CaptivError):
    """No tunnel opens, so that nobody elsewhere can reach the page."""

    code = "tunnel"
    fault = Fault.PROVIDER


class BudgetSpent(CaptivError):
    """The run has cost what it may cost; what is left stays pending."""

    code = "budget_spent"
    fault = Fault.PERSON


def error_class(code: str) -> type[CaptivError] | None:
    """Return the class that carries this `code`, or None if there is none."""
    pending: list[type[CaptivError]] = [CaptivError]
    while pending:
        cls = pending.pop()
        if cls.code == code:
            return cls
        pending.extend(cls.__subclasses__())
    return None


def leading(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a person should hear of a group: captiv's own error before anything else."""
    errors = list(_leaves(group))
    ours = [error for error in errors if isinstance(error, CaptivError)]
    return (ours or errors)[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
