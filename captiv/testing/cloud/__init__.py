"""RunPod in a box: its API, its proxy and its bill, over pods that are processes of this machine.

>>> with running(worker_args=("--engine", "captiv.testing.engine:ScriptedEngine")) as cloud:
...     run_captiv(env=cloud.environment)
...     assert cloud.pods_alive() == []
...     print(cloud.bill())

What may go wrong is armed by name, see `Mischief`; everything else is set by `Conditions`.
"""

from captiv.testing.cloud.conditions import Conditions, drawn
from captiv.testing.cloud.history import Call
from captiv.testing.cloud.mischief import KNOWN, Armed, Mischief
from captiv.testing.cloud.pods import Pod
from captiv.testing.cloud.server import Cloud, running, serve

__all__ = [
    "KNOWN",
    "Armed",
    "Call",
    "Cloud",
    "Conditions",
    "Mischief",
    "Pod",
    "drawn",
    "running",
    "serve",
]
