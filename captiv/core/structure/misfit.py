"""Why an answer isn't the object that was asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Misfit:
    """What is wrong with an answer, as a clause: the model is told it, and so is a person."""

    why: str
