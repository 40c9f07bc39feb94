"""How long pods took to start is kept once a pod, and read newest first, by provider."""

import pytest

from captiv.core.estimate import Startup
from captiv.core.pods import PodRowId, version_with
from captiv.errors import StoreError
from captiv.store import Store, pods, starts

from .scene import NOW


def rented(store: Store, name: str, provider: str = "runpod", version: str = "1") -> PodRowId:
    return store.write(
        pods.intend,
        name,
        provider=provider,
        run_id=None,
        gpu="NVIDIA RTX A5000",
        cloud="community",
        price_micro=160_000,
        version=version,
        deadline_ms=None,
        now_ms=NOW,
    )


def keep(store: Store, row_id: PodRowId, host_s: float, volume: str | None = None) -> None:
    took = Startup(host_s, 2.5, 3, measured=True)
    about = {"model": "joy", "dtype": "auto"}
    store.write(starts.keep, row_id, took, **about, download_bytes=17, volume=volume)


def test_the_last_ones_of_a_provider_come_newest_first(store: Store) -> None:
    for n in range(4):
        keep(store, rented(store, f"pod-{n}", "boxes" if n == 2 else "runpod"), n)

    last, before = store.read(starts.latest, "runpod", 2)

    assert (last.startup, before.startup.host_s) == (Startup(3, 2.5, 3, measured=True), 1)
    assert (last.gpu, last.cloud, last.model) == ("NVIDIA RTX A5000", "community", "joy")
    assert (last.dtype, last.download_bytes) == ("auto", 17)


def test_what_drove_the_model_and_where_it_stayed_is_kept(store: Store) -> None:
    keep(store, rented(store, "one"), 1)
    keep(store, rented(store, "two", version=version_with("vllm", "1")), 2, volume="v1")

    last, before = store.read(starts.latest, "runpod", 2)
    assert (last.engine, last.volume) == ("vllm", "v1")
    assert (before.engine, before.volume) == ("transformers", None)


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
