"""The errors of captiv, in one tree.

    CaptivError
    ├── UsageError              the command line asks for something that cannot be
    ├── Interrupted             a signal came before anything was begun
    ├── ConfigurationError      the configuration file or environment is wrong
    ├── ImageError              this image cannot be captioned; its neighbours can
    │   ├── ImageUnreadable       truncated, empty, damaged, or no image at all
    │   ├── ImageTooLarge         more bytes or pixels than captiv opens
    │   ├── ImageMissing          gone since the scan
    │   ├── ImageRefused          refused by the worker, which takes others that are asked alike
    │   └── ImageCrashes          ended the process that touched it, twice, alone
    ├── AnswerError             the model's answer is no caption
    ├── SidecarError            the caption is safe, its file cannot be written
    ├── MachineShort            this machine has too few files, threads, or memory, or a disk fails
    ├── CaptionChanged          the caption is not the one that the person edited
    ├── ModelError              the model cannot be had or does not fit
    ├── WorkerError             the worker, not the image, is at fault
    │   ├── WorkerUnreachable     no connection, or lost on the way
    │   │   └── AnswerMixedUp       what came is an answer about other work
    │   ├── WorkerNotReady        still loading
    │   ├── WorkerOverloaded      all permits taken; come back after `retry_after_s`
    │   ├── WorkerRefused         the token is wrong
    │   ├── WorkerMismatch        speaks another protocol, or serves another model
    │   ├── WorkerRejected        refused the request itself
    │   ├── WorkerBusy            loads no other model now: it captions, or is loading one
    │   ├── EngineFailed          the engine broke on this batch
    │   ├── UnknownKey            it does not know the work it is asked for
    │   └── NoWorker              none could be had at all
    ├── TunnelFailed            nobody elsewhere can reach the page
    ├── BudgetSpent             the run has cost what it may; the rest stays pending
    ├── ProviderError           the pod provider failed or refused
    │   ├── ProviderUnreachable   no answer, or its own failure
    │   ├── ProviderBusy          too many calls; come back after `retry_after_s`
    │   ├── ProviderBlocked       something in front of it refused
    │   ├── ProviderEnded         this API was switched off
    │   ├── ProviderMismatch      an answer that its contract does not know
    │   ├── ProviderRejected      the request itself is wrong
    │   ├── KeyRefused            the API key is wrong
    │   ├── AccessDenied          the account or key may not do this
    │   ├── NoBalance             the account has no money
    │   ├── NoCapacity            this GPU cannot be had there now
    │   ├── PodMayExist           a pod was asked for, and what came of it is unknown
    │   ├── PodMayBill            a pod was to end, and was not seen to
    │   ├── PodGone               it does not exist (any more)
    │   └── PodConflict           not in its present state
    └── StoreError              the job table cannot be used
        ├── StoreFull             no space left on its disk
        ├── StoreBusy             locked by another process for too long
        ├── StoreShort            this process may open no more files
        ├── StoreDamaged          not a database, or a damaged one
        └── StoreTooNew           written by a newer captiv

Each class answers three questions: whose fault is it, what should the person do (`hint`), and which
code of `exits` does a command have that it ends (`exit_code`). Whether the same work is tried
again, `core.retry` decides. `code` is stable and travels on the wire and in the job table.
"""

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


class AnswerError(CaptivError):
    """The model answered, but not with a caption: empty, looping, refusing or cut off."""

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


class ModelError(CaptivError):
    """The model cannot be had, or this machine cannot run it."""

    code = "model_unavailable"
    fault = Fault.MODEL
    exit_code = ExitCode.NO_WORKER


class WorkerError(CaptivError):
    """The worker, not the image, is at fault: the job goes back uncharged."""

    code = "worker"
    fault = Fault.WORKER
    exit_code = ExitCode.NO_WORKER


class WorkerUnreachable(WorkerError):
    """No connection to the worker, or it was lost on the way."""

    code = "worker_unreachable"


class AnswerMixedUp(WorkerUnreachable):
    """An answer about other work than was asked for; its content is not to be believed."""

    code = "answer_mixed_up"

    def __init__(self, differs: str) -> None:
        """Args: `differs` says in words what is not as it was asked."""
        super().__init__(
            f"The worker's answer belongs to another request ({differs}). A proxy between captiv "
            "and the worker probably mixes up answers."
        )


class WorkerNotReady(WorkerError):
    """The worker is up and still loading its model."""

    code = "not_ready"


class WorkerOverloaded(WorkerError):
    """All permits of the worker are taken."""

    code = "overloaded"

    def __init__(
        self, message: str, *, retry_after_s: float = 1.0, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class WorkerRefused(WorkerError):
    """The worker does not accept the token."""

    code = "unauthorized"
    hint = "Set CAPTIV_WORKER_TOKEN to the worker's token."


class WorkerMismatch(WorkerError):
    """The worker speaks another protocol, or serves another model than asked for."""

    code = "worker_mismatch"


class WorkerRejected(WorkerError):
    """The worker refused the request itself: a setting it does not have, a body too large."""

    code = "invalid_request"


class WorkerBusy(WorkerError):
    """The worker loads no other model now: captions are in flight there, or one is being loaded."""

    code = "worker_busy"


class EngineFailed(WorkerError):
    """The engine broke while captioning this image; `suspect` if it captioned its neighbours."""

    code = "engine_failed"

    def __init__(self, message: str, *, suspect: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.suspect = suspect


class UnknownKey(WorkerError):
    """The worker knows no work under this key.

    `suspect` if its last life ended in that batch; `killed` if that was by SIGKILL, which may have
    nothing to do with the image.
    """

    code = "unknown_key"

    def __init__(
        self,
        message: str,
        *,
        suspect: bool = False,
        killed: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.suspect = suspect
        self.killed = killed


class NoWorker(WorkerError):
    """No worker could be had at all; the images stay pending."""

    code = "no_worker"


class TunnelFailed(CaptivError):
    """No tunnel opens, so that nobody elsewhere can reach the page."""

    code = "tunnel"
    fault = Fault.PROVIDER


class BudgetSpent(CaptivError):
    """The run has cost what it may cost; what is left stays pending."""

    code = "budget_spent"
    fault = Fault.PERSON


class ProviderError(CaptivError):
    """The pod provider failed or refused; `detail` keeps its own words."""

    code = "provider"
    fault = Fault.PROVIDER
    exit_code = ExitCode.NO_WORKER

    def __init__(self, message: str, *, detail: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.detail = detail


class ProviderUnreachable(ProviderError):
    """No answer of the provider, or one that says it failed itself.

    `sent` is False where no connection came about, so that nothing can have been done.
    """

    code = "provider_unreachable"
    hint = "Try again in a few minutes."

    def __init__(
        self, message: str, *, sent: bool = True, detail: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.sent = sent


class ProviderBusy(ProviderError):
    """Too many calls: nothing was done, and nothing will be for `retry_after_s`."""

    code = "provider_busy"

    def __init__(
        self, message: str, *, retry_after_s: float, detail: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.retry_after_s = retry_after_s


class ProviderBlocked(ProviderError):
    """Something in front of the API, not the API, refused."""

    code = "provider_blocked"
    hint = "A proxy, VPN or firewall may stand between; try from another network."


class ProviderEnded(ProviderError):
    """The provider has switched off this version of its API."""

    code = "provider_ended"
    hint = "Upgrade captiv: pip install -U captiv"


class ProviderMismatch(ProviderError):
    """The answer is none that the provider's contract knows."""

    code = "provider_mismatch"
    hint = (
        "Check the address of the provider's API in the settings; if it is right, upgrade captiv."
    )


class ProviderRejected(ProviderError):
    """The provider refused the request itself; the same request will fail again."""

    code = "provider_rejected"


class KeyRefused(ProviderError):
    """The API key is wrong, expired or revoked."""

    code = "key_refused"
    fault = Fault.PERSON
    exit_code = ExitCode.CONFIGURATION
    hint = "Set a valid API key of the provider: captiv config set, or its variable."


class AccessDenied(ProviderError):
    """The key is valid, but it, or the account, may not do this."""

    code = "access_denied"
    fault = Fault.PERSON
    exit_code = ExitCode.CONFIGURATION
    hint = "Give the key write access to pods in the provider's console, or use another GPU."


class NoBalance(ProviderError):
    """The account has too little money for any pod."""

    code = "no_balance"
    fault = Fault.PERSON
    exit_code = ExitCode.CONFIGURATION
    hint = "Add credit in the provider's console."


class NoCapacity(ProviderError):
    """The pod cannot be placed now; another GPU type, cloud or data center may do.

    A request that breaks one of the provider's rules may look the same: if every candidate ends
    here, the last `detail` is what the person should read.
    """

    code = "no_capacity"
    hint = "Try again later, or allow another cloud, GPU type or price."


class PodMayExist(ProviderError):
    """A pod was asked for and no clear answer came: it may exist, and bill, under `name`."""

    code = "pod_may_exist"
    exit_code = ExitCode.MAY_BILL

    def __init__(
        self,
        message: str,
        *,
        name: str,
        answered: bool = False,
        detail: str = "",
        hint: str | None = None,
    ) -> None:
        """Args: `answered`: the service itself said that it failed; else its answer is lost."""
        super().__init__(message, detail=detail, hint=hint)
        self.name = name
        self.answered = answered


class PodMayBill(ProviderError):
    """A pod was ordered to end, and was not seen to: it may still bill."""

    code = "pod_may_bill"
    exit_code = ExitCode.MAY_BILL


class PodGone(ProviderError):
    """The pod does not exist, or not any more."""

    code = "pod_gone"


class PodConflict(ProviderError):
    """The pod's present state does not allow this."""

    code = "pod_conflict"


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
