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
    │   └── HostUnfit             by the fault of the host: another one may do
    │       └── DiskFull            its disk has no room for the model
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

from captiv.errors.base import (
    BudgetSpent,
    CaptivError,
    ConfigurationError,
    Fault,
    Interrupted,
    TunnelFailed,
    UsageError,
    error_class,
    leading,
)
from captiv.errors.image import (
    AnswerError,
    CaptionChanged,
    ImageCrashes,
    ImageError,
    ImageMissing,
    ImageRefused,
    ImageTooLarge,
    ImageUnreadable,
    MachineShort,
    SidecarError,
    SidecarShared,
    SidecarUnreadable,
)
from captiv.errors.provider import (
    AccessDenied,
    KeyRefused,
    NoBalance,
    NoCapacity,
    PodConflict,
    PodGone,
    PodMayBill,
    PodMayExist,
    ProviderBlocked,
    ProviderBusy,
    ProviderEnded,
    ProviderError,
    ProviderMismatch,
    ProviderRejected,
    ProviderUnreachable,
)
from captiv.errors.store import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreShort,
    StoreTooNew,
)
from captiv.errors.worker import (
    AnswerMixedUp,
    DiskFull,
    EngineFailed,
    HostUnfit,
    ModelError,
    NoWorker,
    UnknownKey,
    WorkerBusy,
    WorkerError,
    WorkerMismatch,
    WorkerNotReady,
    WorkerOverloaded,
    WorkerRefused,
    WorkerRejected,
    WorkerUnreachable,
)

__all__ = [
    "AccessDenied",
    "AnswerError",
    "AnswerMixedUp",
    "BudgetSpent",
    "CaptionChanged",
    "CaptivError",
    "ConfigurationError",
    "DiskFull",
    "EngineFailed",
    "Fault",
    "HostUnfit",
    "ImageCrashes",
    "ImageError",
    "ImageMissing",
    "ImageRefused",
    "ImageTooLarge",
    "ImageUnreadable",
    "Interrupted",
    "KeyRefused",
    "MachineShort",
    "ModelError",
    "NoBalance",
    "NoCapacity",
    "NoWorker",
    "PodConflict",
    "PodGone",
    "PodMayBill",
    "PodMayExist",
    "ProviderBlocked",
    "ProviderBusy",
    "ProviderEnded",
    "ProviderError",
    "ProviderMismatch",
    "ProviderRejected",
    "ProviderUnreachable",
    "SidecarError",
    "SidecarShared",
    "SidecarUnreadable",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreShort",
    "StoreTooNew",
    "TunnelFailed",
    "UnknownKey",
    "UsageError",
    "WorkerBusy",
    "WorkerError",
    "WorkerMismatch",
    "WorkerNotReady",
    "WorkerOverloaded",
    "WorkerRefused",
    "WorkerRejected",
    "WorkerUnreachable",
    "error_class",
    "leading",
]
