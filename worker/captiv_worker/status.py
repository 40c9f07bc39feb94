"""What the worker tells anyone who asks how it is: loading, ready, or failed.

`loading` becomes `ready` or `failed`, and either becomes `loading` when another model is asked
for. The event loop writes while no image is in the worker and none is loading, the device's thread
otherwise; anybody reads: each write replaces one immutable value.
"""

from collections.abc import Sequence

from captiv import __version__
from captiv.errors import CaptivError, ModelError, WorkerNotReady
from captiv.wire import GUARD_REFUSED, Health, Loading
from captiv_worker.engines.spec import Loaded

_REFUSED = (
    "This pod could not end itself and has unloaded its model. It may bill until it is ended: the "
    "next start of captiv ends a pod that captiv rented; end any other one yourself."
)


class Status:
    """The worker's health, as `GET /health` tells it."""

    def __init__(
        self, *, worker: str, boot_id: str, restarts: int = 0, engines: Sequence[str] = ()
    ) -> None:
        """Args: `engines` are those that this worker can load."""
        self.health = Health(
            status="loading",
            worker=worker,
            boot_id=boot_id,
            version=__version__,
            loading=Loading(phase="starting"),
            restarts=restarts,
            engines=list(engines),
        )

    def loading(self) -> None:
        """Say that a model is on its way, in the place of whatever was there."""
        self._update(
            status="loading",
            loading=Loading(phase="starting"),
            model=None,
            variant=None,
            device=None,
            dtype=None,
            engine=None,
            engine_version=None,
            code=None,
            reason=None,
        )

    def phase(
        self, name: str, done_bytes: int | None = None, total_bytes: int | None = None
    ) -> None:
        """Say how far loading is."""
        loading = Loading(phase=name, done_bytes=done_bytes, total_bytes=total_bytes)
        self._update(loading=loading)

    def serves(self, model: str, variant: str) -> None:
        """Say what is being loaded."""
        self._update(model=model, variant=variant)

    def ready(self, loaded: Loaded, max_batch: int, permits: int, *, engine: str) -> None:
        """Say that captions can be had, and how many at once."""
        self._update(
            status="ready",
            loading=None,
            device=loaded.device,
            dtype=loaded.dtype,
            engine=engine,
            engine_version=loaded.version,
            max_batch=max_batch,
            permits=permits,
        )

    def resized(self, max_batch: int, permits: int) -> None:
        """Say that batches are larger or smaller from now on."""
        self._update(max_batch=max_batch, permits=permits)

    def captioned(self) -> None:
        """Say that this life has got somewhere."""
        if self.health.restarts:
            self._update(restarts=0)

    def fail(self, error: CaptivError) -> None:
        """Say why no caption can be had, and what to do."""
        reason = error.message if error.hint is None else f"{error.message} {error.hint}"
        self._update(status="failed", loading=None, code=error.code, reason=reason)

    def refused(self) -> None:
        """Say that the pod has to be ended by somebody else."""
        self._update(status="failed", loading=None, code=GUARD_REFUSED, reason=_REFUSED)

    def require_ready(self) -> None:
        """Raise what keeps this worker from captioning, if anything does."""
        if self.health.status == "failed":
            raise ModelError(self.health.reason or "The model failed to load.")
        if self.health.status == "loading":
            phase = self.health.loading.phase if self.health.loading else "starting"
            raise WorkerNotReady(f"The worker is still loading its model ({phase}).")

    def _update(self, **changes: object) -> None:
        self.health = self.health.model_copy(update=changes)
