"""How far a worker is, in words for a person: of the page and of the terminal alike."""

from captiv.core.phase import Phase, Step

_WORDS = {
    Step.FOLLOWING: "another captiv is at work; following it",
    Step.CHECKING: "checking whether the run can begin",
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
    return f"{said} ({phase.percent} % of {size(phase.total_bytes)})"


def size(n_bytes: float | None) -> str:
    """Return a size as a person reads it, in the decimal units of disks."""
    if n_bytes is None:
        return "unknown"
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes:.0f} B"
