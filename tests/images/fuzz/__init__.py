"""Mutated images of every kind, each prepared under limits: scripts/fuzz_images runs it."""
