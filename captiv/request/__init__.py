"""From what a person asks for, and the settings behind it, to a run's specification."""

from captiv.request.options import Options, pairs, words
from captiv.request.run import contradicted, model_choice, model_to_load, request

__all__ = ["Options", "contradicted", "model_choice", "model_to_load", "pairs", "request", "words"]
