"""`python -m captiv_worker.fetch MODEL…`: puts models into the cache before a worker needs them.

A worker fetches its model itself when it starts. This is for whoever builds an image that has it.
"""

import sys
from collections.abc import Sequence

from captiv.errors import CaptivError
from captiv_worker.models import resolve


def main(names: Sequence[str]) -> int:
    """Fetch these models: families, variants or hub ids; return the exit code."""
    for name in names:
        try:
            found = resolve(name, None, None, lambda _phase, _done, _total: None)
        except CaptivError as error:
            sys.stderr.write(f"{name}: {error.message} {error.hint or ''}\n")
            return 1
        sys.stdout.write(f"{name}: {found.source} is in {found.path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
