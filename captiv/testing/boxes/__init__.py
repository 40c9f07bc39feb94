"""A second provider for tests: it rents out boxes, and has what RunPod has not.

Prices are by the minute, and a minute that was begun is billed. A box cannot be stopped, keeps no
log, and is listed without the name under which it was asked for; its id has another form. Boxes are
real child processes with the real guard and worker.
"""

from captiv.testing.boxes.provider import BoxProvider, box_type
from captiv.testing.boxes.server import Boxes, serving

__all__ = ["BoxProvider", "Boxes", "box_type", "serving"]
