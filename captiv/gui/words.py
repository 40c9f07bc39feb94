"""Words for passphrases: short, common, told apart when they are read out on a telephone."""

from pathlib import Path


def words() -> tuple[str, ...]:
    """Return them, each once."""
    return tuple(Path(__file__).with_suffix(".txt").read_text("ascii").split())
