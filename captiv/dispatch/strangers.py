"""Counts the captions of pictures that a model was not made for, while they are made."""

from captiv.catalog import family_named
from captiv.core.jobs import RunId
from captiv.core.spec import RunSpec
from captiv.core.strange import Strange
from captiv.images.drawn import is_drawn_scene
from captiv.images.prepare import Prepared
from captiv.offload import offload


class Strangers:
    """What runs of the built-in model have met in this process; of others nothing is kept."""

    def __init__(self) -> None:
        self._met: dict[RunId, Strange] = {}

    async def look(self, run_id: RunId, spec: RunSpec, prepared: Prepared) -> None:
        """Look at a picture that has got its caption."""
        family = family_named(spec.captioning.model)
        if family is None or not family.scenes_only:
            return
        drawn = await offload(is_drawn_scene, prepared.data)
        met = self._met.get(run_id) or Strange(family.name)
        self._met[run_id] = met.with_one(other=not drawn)

    def of(self, run_id: RunId) -> Strange | None:
        """Return what a run has met, if any of it is no drawn scene."""
        met = self._met.get(run_id)
        return met if met is not None and met.others else None
