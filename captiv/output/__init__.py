"""Captions on disk: the sidecars beside the images."""
