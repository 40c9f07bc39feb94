"""`python -m captiv` is `captiv`."""

import sys

from captiv.cli import main

sys.exit(main())
