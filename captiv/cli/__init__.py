"""The command line. A command imports what it needs when it runs: `--help` starts in a blink."""

from captiv.cli.app import main

__all__ = ["main"]
