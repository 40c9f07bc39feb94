"""`python -m captiv_worker.healthcheck [URL]`: exits with 0 if the worker there is ready.

For the health check of a container. Standard library only: it runs every half minute.
"""

import sys
import urllib.error
import urllib.request
from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:8000/health"
_TIMEOUT_S: Final = 5.0


def main(url: str = DEFAULT_URL, *, timeout_s: float = _TIMEOUT_S) -> int:
    """Ask `url`; say what is wrong if it is not ready, and return the exit code."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s):
            return 0
    except urllib.error.HTTPError as error:
        with error:
            sys.stderr.write(error.read(2000).decode(errors="replace") + "\n")
    except OSError as error:
        sys.stderr.write(f"nobody answers at {url}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
