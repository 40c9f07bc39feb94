"""Images that a worker refused, held until it shows whose fault that is.

An image is at fault itself if the worker takes another one that is asked alike, or if none is left.
After several different ones in a row it is the request or the worker: that ends the run. The images
go back as suspects then, so that the next run begins with others, and one that is refused once more
fails.
"""

from captiv.core import retry
from captiv.core.jobs import Failure, Job
from captiv.errors import WorkerRejected


class Refusals:
    """What was refused in a row by one worker."""

    def __init__(self) -> None:
        self._held: list[Failure] = []

    @property
    def jobs(self) -> list[Job]:
        """The jobs of the images that are held."""
        return [failure.job for failure in self._held]

    def hold(self, failure: Failure, error: WorkerRejected) -> None:
        """Hold one more image, with the failure that it ends in if the fault is its own.

        Raises:
            WorkerRejected: several images in a row were refused: it is the request or the worker.
        """
        self._held.append(failure)
        if self._ends_the_run:
            raise WorkerRejected(
                error.message,
                hint=f"{error.hint or ''} {len(self._held)} different images in a row were "
                "refused: look at the settings and at the server. Nothing is lost: the same "
                "command resumes, with other images first.".strip(),
            ) from error

    def settle(self) -> list[Failure]:
        """Return those that are at fault themselves: another one was taken, or none is left.

        Not those over which the run is just ending.
        """
        if self._ends_the_run:
            return []
        settled, self._held = self._held, []
        return settled

    @property
    def _ends_the_run(self) -> bool:
        return len(self._held) >= retry.REFUSALS
