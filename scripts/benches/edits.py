"""How long a change of many captions takes, against writing and syncing the same files plainly.

Plainly is one file after another, each written beside, synced and renamed, then a sync of each
folder. It is measured before and after, for a disk that others use is not always as fast.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from captiv.core.edits import BulkEdit
from captiv.core.naming import Place
from captiv.editing import Change, Kept, bulk, put
from captiv.store import Store

TEXT = "a dog that stands on the grass beside a fence, seen from the side, number {} " * 3


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="captiv-bench-", dir=options.on) as name:
        root = Path(name)
        places = _files(root / "pictures", options.captions, options.folders)
        bare_s = [_timed(lambda: _plainly(root / "plain", places))]
        with Store.open(root / "home" / "captiv.db") as store:
            took_s = dict(_edits(store, places))
            _waits(store, root / "pictures", places)
        bare_s.append(_timed(lambda: _plainly(root / "plain", places)))
    plain_s = sum(bare_s) / len(bare_s)
    print(f"{options.captions:,} captions, plainly {bare_s[0]:.1f} and {bare_s[1]:.1f} s")
    for what, seconds in took_s.items():
        print(f"{what:8} {seconds:6.1f} s, {seconds / plain_s:.2f} of plainly")


def _edits(store: Store, places: list[Place]) -> Iterable[tuple[str, float]]:
    found = _changes(bulk.preview(BulkEdit("dog", "wolf"), places))
    yield "replace", _timed(lambda: _all(bulk.apply(store, "replace", found)))
    yield "undo", _timed(lambda: _all(bulk.undo(store)))
    there = _changes(bulk.removal(places))
    yield "clear", _timed(lambda: _all(bulk.apply(store, "clear", there)))
    yield "undo of it", _timed(lambda: _all(bulk.undo(store)))


def _waits(store: Store, pictures: Path, places: list[Place]) -> None:
    """Print how long others wait who save one caption each while many are changed."""
    found = _changes(bulk.preview(BulkEdit("dog", "wolf"), places))
    other = Place(str(pictures / "other.jpg"), str(pictures / "other.txt"))
    making = threading.Thread(target=lambda: _all(bulk.apply(store, "replace", found)))
    making.start()
    waits_s = []
    while making.is_alive():
        waits_s.append(_timed(lambda: put(store, other, f"mine {len(waits_s)}")))
    print(f"{len(waits_s)} saves meanwhile: the longest took {max(waits_s):.3f} s")


def _files(folder: Path, captions: int, folders: int) -> list[Place]:
    places = []
    for n in range(captions):
        path = folder / f"{n % folders:02}" / f"{n:06}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXT.format(n))
        places.append(Place(str(path.with_suffix(".jpg")), str(path)))
    os.sync()
    return sorted(places)


def _plainly(folder: Path, places: list[Place]) -> None:
    for n, place in enumerate(places):
        to = folder / Path(place.sidecar).parent.name
        to.mkdir(parents=True, exist_ok=True)
        with (to / f"{n}.new").open("w") as file:
            file.write(TEXT.format(n))
            file.flush()
            os.fsync(file.fileno())
        (to / f"{n}.new").rename(to / f"{n}.txt")
    for to in folder.iterdir():
        descriptor = os.open(to, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _changes(found: Iterable[Change | Kept]) -> list[Change]:
    return [each for each in found if isinstance(each, Change)]


def _all(results: Iterable[Change | Kept]) -> None:
    assert all(isinstance(result, Change) for result in results)


def _timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=20_000)
    parser.add_argument("--folders", type=int, default=10)
    parser.add_argument("--on", type=Path, help="a folder on the disk that is to be measured")
    return parser.parse_args()


if __name__ == "__main__":
    main()
