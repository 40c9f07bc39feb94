"""The start command of a pod whose image has no captiv (`main`), and how it travels as one text.

The parts are modules like any other here. In the pod they are what the text says, in a package that
is nowhere on a disk; Python's standard library is all that they import.
"""

from functools import cache
from importlib.resources import files
from typing import Final

_PARTS: Final = ("pod", "ending", "limits", "door", "installer", "carried", "main")
"""Each imports only those before it."""
_BEGIN: Final = """\
import sys, types
package = sys.modules["bootstrap"] = types.ModuleType("bootstrap")
package.__path__ = []
def part(name, text):
    module = sys.modules["bootstrap." + name] = types.ModuleType("bootstrap." + name)
    module.__package__ = "bootstrap"
    exec(compile(text, name, "exec"), module.__dict__)
"""
_END: Final = 'sys.modules["bootstrap.main"].main()\n'


@cache
def text() -> str:
    """Return the program, for `python -I -c`."""
    folder = files(__name__)
    parts = {name: folder.joinpath(f"{name}.py").read_text(encoding="utf-8") for name in _PARTS}
    said = (f"part({name!r}, r'''{source}''')\n" for name, source in parts.items())
    return "".join((_BEGIN, *said, _END))
