"""Captions for folders of images, from a rented GPU or from this machine."""

__version__ = "0.2.0"
