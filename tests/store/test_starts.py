"""How long pods took to start is kept once a pod, and read newest first, by provider."""

import pytest

from captiv.core.estimate import Startup
from captiv.core.pods import PodRowId
from captiv.errors import StoreError
from captiv.store import Store, pods, starts

from .scene import NOW


def rented(store: Store, name: str, provider: str = "runpod") -> PodRowId:
    return store.write(
        pods.intend,
        name,
        provider=provider,
        run_id=None,
        gpu="NVIDIA RTX A5000",
        cloud="community",
        price_micro=160_000,
        version="1",
        deadline_ms=None,
        now_ms=NOW,
    )


def keep(store: Store, row_id: PodRowId, host_s: float, model: str = "joy") -> None:
    took = Startup(host_s, 2.5, 3, measured=True)
    store.write(starts.keep, row_id, took, model=model, dtype="auto", download_bytes=17)


def test_the_last_ones_of_a_provider_come_newest_first(store: Store) -> None:
    for n in range(4):
        keep(store, rented(store, f"pod-{n}", "boxes" if n == 2 else "runpod"), n)

    last, before = store.read(starts.latest, "runpod", 2)

    assert (last.startup, before.startup.host_s) == (Startup(3, 2.5, 3, measured=True), 1)
    assert (last.gpu, last.cloud, last.model) == ("NVIDIA RTX A5000", "community", "joy")
    assert (last.dtype, last.download_bytes) == ("auto", 17)


def test_the_first_word_counts(store: Store) -> None:
    row_id = rented(store, "pod")
    keep(store, row_id, 10)
    keep(store, row_id, 99)

    (only,) = store.read(starts.latest, "runpod", 9)
    assert only.startup.host_s == 10


def test_a_time_that_cannot_be_is_refused(store: Store) -> None:
    row_id = rented(store, "pod")

    with pytest.raises(StoreError, match="times_are_times"):
        keep(store, row_id, -1)
