"""How far a worker is, in words for the page."""

from captiv.core.phase import Phase, Step

_WORDS = {
    Step.FOLLOWING: "another captiv is at work; following it",
    Step.CONNECTING: "connecting to {subject}",
    Step.STARTING_HERE: "starting a worker on this machine",
    Step.WAITING: "waiting for other captions of pod {subject}",
    Step.BUSY: "waiting for the server, which is loading or busy",
}


def worded(phase: Phase) -> str:
    """Return the phase in a few words, with what it is about and how far it is."""
    said = _WORDS.get(phase.name, phase.name.value).format(subject=phase.subject)
    if phase.total_bytes is None:
        return said
    return f"{said} ({phase.percent} % of {phase.total_bytes / 1e9:.1f} GB)"
