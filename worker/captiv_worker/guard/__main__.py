"""`python -m captiv_worker.guard [worker arguments…]`: starts the guard of a pod."""

import os
import sys

from captiv_worker.guard.keys import taken
from captiv_worker.guard.process import Guard, log_to_stderr
from captiv_worker.guard.settings import read


def main() -> None:
    """Guard the pod until a signal ends it."""
    log_to_stderr()
    environ = taken(os.environ)
    Guard(read(environ), sys.argv[1:], environ).run()


if __name__ == "__main__":
    main()
