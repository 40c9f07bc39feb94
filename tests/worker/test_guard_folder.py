"""What a guard and its worker share, and what a guard is made of."""

import ast
import os
import sys
from pathlib import Path

import captiv_worker.guard
from captiv_worker.guard import folder
from captiv_worker.guard.folder import GuardFolder, Sign

from captiv import clock

from .conftest import Clock


def test_a_sign_is_renewed_at_most_once_a_second(tmp_path: Path) -> None:
    guards = folder.prepare(tmp_path / "shared", "unused")
    clock = Clock()
    shared = GuardFolder(guards.path, clock=clock)

    def renewed() -> bool:
        """Give the sign; tell whether it is another one: of an old one even in the same moment."""
        os.utime(guards.path / Sign.ALIVE, (0, 0))
        shared.give(Sign.ALIVE)
        return guards.stamp(Sign.ALIVE) != 0

    assert renewed()
    clock.now_s += 0.9
    assert not renewed()
    clock.now_s += 0.2
    assert renewed()
    assert guards.path.stat().st_mode & 0o777 == 0o700


def test_limits_and_model_outlast_the_worker_and_damage_is_nothing(tmp_path: Path) -> None:
    shared = folder.prepare(tmp_path / "shared", "unused")
    assert (shared.limits(), shared.model()) == (None, {})

    shared.write_limits(60, None)
    shared.write_model({"model": "shapes"})
    assert (shared.limits(), shared.model()) == ((60, None), {"model": "shapes"})

    for damaged in ("", "[]", '{"idle_s": true}', '{"idle_s": NaN}', "\x00"):
        (shared.path / "limits.json").write_text(damaged)
        assert shared.limits() is None


def test_a_folder_that_cannot_be_had_is_lived_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    shared = folder.prepare(tmp_path / "file" / "below", "unused")
    shared.give(Sign.ALIVE)

    assert shared.stamp(Sign.ALIVE) is None
    assert shared.limits() is None


def test_the_guard_needs_nothing_but_the_standard_library() -> None:
    allowed = {*sys.stdlib_module_names, "captiv_worker.guard"}
    home = Path(captiv_worker.guard.__file__).parent
    for page in home.glob("*.py"):
        for node in ast.walk(ast.parse(page.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                own = module.startswith("captiv_worker.guard")
                names = ["captiv_worker.guard" if own else module.partition(".")[0]]
                if module == "captiv" and [alias.name for alias in node.names] == ["__version__"]:
                    names = []
                if module == "captiv.clock":  # the standard library alone, as the next test sees
                    names = []
            assert allowed.issuperset(names), f"{page.name} imports {names}"


def test_the_clock_that_the_guard_goes_by_is_the_standard_library_alone() -> None:
    for node in ast.walk(ast.parse(Path(clock.__file__).read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] in sys.stdlib_module_names
