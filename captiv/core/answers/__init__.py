"""Tells bad answers of models from captions. Pure: `judge` has the whole verdict.

The detector of loops, `captiv.core.loops`, isn't in here: the worker imports it too, and it travels
to pods alone.
"""

from captiv.core.answers.echoes import Asked, told
from captiv.core.answers.verdict import Fault, Verdict, judge

__all__ = ["Asked", "Fault", "Verdict", "judge", "told"]
