"""The worker or its model, not the image, is at fault: its jobs go back uncharged."""

from captiv.errors.base import CaptivError, Fault
from captiv.exits import ExitCode


class ModelError(CaptivError):
    """The model cannot be had, or this machine cannot run it."""

    code = "model_unavailable"
    fault = Fault.MODEL
    exit_code = ExitCode.NO_WORKER


class HostUnfit(ModelError):
    """The host cannot run the model, or fetch it; another host of the same kind may."""

    code = "host_unfit"


class DiskFull(HostUnfit):
    """The worker's disk has no room for the model: the host's fault, or a disk chosen too small."""

    code = "disk_full"
    hint = "Free some space there, or rent pods with a larger container disk."


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
