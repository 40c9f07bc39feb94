"""From what a person asks for, and the settings behind it, to a run's specification.

`options` is read for every help page, so nothing is imported here.
"""
