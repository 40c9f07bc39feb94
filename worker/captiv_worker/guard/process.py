"""Process 1: asks the rules, does what they say, waits for a signal or a sign, and asks again.

Signals are blocked and waited for, so that none is lost and no handler runs in between. Calls to
the provider run on threads of their own: whatever becomes of them, the worker is looked after, and
the next attempt is made in time.
"""

import logging
import queue
import random
import signal
import sys
import threading
from collections.abc import Sequence

from captiv.clock import monotonic_s
from captiv_worker.guard.api import end_pod
from captiv_worker.guard.calendar import Calendar
from captiv_worker.guard.child import Child
from captiv_worker.guard.folder import GuardFolder, Sign, prepare
from captiv_worker.guard.rules import Do, Due, Now, Outcome, Rules
from captiv_worker.guard.settings import Settings

_log = logging.getLogger(__name__)

_WATCHED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
_POLL_S = 0.2
"""How often signs are looked for: far shorter than any limit that makes sense."""


class Guard:
    """The guard of one pod."""

    def __init__(
        self, settings: Settings, arguments: Sequence[str], environ: dict[str, str]
    ) -> None:
        """Args: `arguments` are the worker's, `environ` is its environment but for the keys."""
        self._settings = settings
        self._folder: GuardFolder = prepare(settings.folder, settings.folder_name)
        self._stamps = {sign: self._folder.stamp(sign) for sign in Sign}
        own = ("--batch-file", str(self._folder.batch_file), "--guard-folder")
        secrets = settings.ending.secrets
        environ = {name: value for name, value in environ.items() if name not in secrets}
        self._child = Child((*arguments, *own, str(self._folder.path)), environ)
        calls = [call for call in settings.ending.calls if call is not None]
        self._calendar = Calendar(calls[0].url if calls else None)
        self._rules = Rules(
            settings.limits, self._now(), retry_s=settings.retry_s, random=random.random
        )
        self._answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._tried = False
        """Whether it has tried to end the pod: if it still runs, no call has helped."""
        self._due: Due | None = None

    def run(self) -> None:
        """Guard until a signal says that it is over; nothing else ends it."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        while True:
            try:
                wait_s = self._turn()
            except Exception:
                _log.exception("turn_failed")
                wait_s = 1.0
            if wait_s is None:
                return
            self._wait(wait_s)

    def _turn(self) -> float | None:
        """Take in what happened and do what is due; return how long to wait, None if it is over."""
        self._observe()
        while True:
            now = self._now()
            self._tell(now)
            step = self._rules.decide(now)
            match step.do:
                case Do.WAIT:
                    return min(step.wait_s, _POLL_S)
                case Do.QUIT:
                    return None
                case Do.START:
                    self._start(now)
                case Do.STOP:
                    self._rules.stopping(now)
                    self._child.send(signal.SIGTERM)
                case Do.KILL:
                    self._rules.stopping(now)
                    self._child.send(signal.SIGKILL)
                case Do.END_POD:
                    self._rules.tried(now)
                    threading.Thread(target=self._end_pod, name="end", daemon=True).start()

    def _observe(self) -> None:
        """Take in what happened, the signs of a worker before its death."""
        code = self._child.reap()
        now = self._now()
        for sign in Sign:
            stamp = self._folder.stamp(sign)
            if stamp is not None and stamp != self._stamps[sign]:
                self._stamps[sign] = stamp
                self._seen(sign, now)
        if code is not None:
            self._rules.ended(now, killed=code == -signal.SIGKILL)
            _log.info("worker_ended code=%d restarts=%d", code, self._rules.restarts)
        self._read_limits()
        while not self._answers.empty():
            self._rules.answered(self._answers.get(), now)

    def _seen(self, sign: Sign, now: Now) -> None:
        match sign:
            case Sign.ALIVE:
                self._rules.alive(now)
            case Sign.READY:
                _log.info("worker_ready")
                self._rules.ready(now)
            case Sign.CAPTIONED:
                self._rules.captioned()

    def _read_limits(self) -> None:
        kept = self._folder.limits()
        limits = self._rules.limits
        if kept is not None and kept != (limits.idle_s, limits.deadline):
            self._rules.renew(*kept)
            _log.info("limits_renewed idle_s=%g deadline=%s", *kept)

    def _tell(self, now: Now) -> None:
        due = self._rules.due(now)
        if due is not self._due:
            self._due = due
            _log.info("pod_due reason=%s", due or "none_any_more")
            self._tried = self._tried and due is not None

    def _start(self, now: Now) -> None:
        rules = self._rules
        more = ["--restarts", str(rules.restarts)]
        more += ["--killed"] if rules.killed else []
        more += ["--unloaded"] if rules.unloaded else []
        try:
            self._child.start(*more)
        except OSError as error:
            _log.error("worker_not_started error=%s", error.strerror)
            rules.ended(now, killed=False)
        else:
            rules.started()

    def _end_pod(self) -> None:
        self._answers.put(end_pod(self._settings.ending.calls, again=self._tried))
        self._tried = True

    def _now(self) -> Now:
        return Now(monotonic_s(), self._calendar.epoch_s())

    def _wait(self, wait_s: float) -> None:
        came = signal.sigtimedwait(_WATCHED, wait_s)
        if came is not None and came.si_signo != signal.SIGCHLD:
            _log.info("signalled number=%d", came.si_signo)
            self._rules.quit(self._now())


def log_to_stderr() -> None:
    """Log as the worker does, into the same container log."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="ts=%(asctime)s.%(msecs)03d level=%(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
