"""A job table, pictures and real workers, without a command line around them."""

from tests.world import template, world

__all__ = ["template", "world"]
