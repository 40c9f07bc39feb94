"""What `captiv doctor` says of a provider's account: its key, its money, pods that nobody needs.

Nothing here is fatal, for captiv works without one, and nothing takes longer than `LIMIT_S`.
"""

from collections.abc import Iterator
from dataclasses import replace

import anyio

from captiv.cli.show import plural
from captiv.clock import now_ms
from captiv.core.findings import Finding
from captiv.core.pods import Listed, Owner
from captiv.errors import CaptivError
from captiv.rental import views
from captiv.rental.checks import account_findings, asked
from captiv.rental.provider import Pod, ProviderType
from captiv.settings import Paths, installation_secret, read
from captiv.sources import PROVIDERS
from captiv.store import Store, lease

LIMIT_S = 5.0


def account_checks(paths: Paths) -> Iterator[Finding]:
    """Yield what is to be said of the account at each provider."""
    for kind in PROVIDERS.values():
        yield from _checks(kind, paths)


def _checks(kind: ProviderType, paths: Paths) -> Iterator[Finding]:
    try:
        settings = read(paths).settings
    except CaptivError:
        yield Finding(kind.label, "warn", "skipped", "Right the configuration first: see above.")
        return
    if not kind.has_key(settings):
        yield Finding(kind.label, "ok", f"skipped: no API key is set ({kind.key_setting})")
        return
    answers = anyio.run(asked, kind, settings, LIMIT_S)
    yield from map(_not_fatal, account_findings(kind, answers))
    if answers.listed is not None:
        yield from _orphans(kind, paths, answers.listed)


def _not_fatal(found: Finding) -> Finding:
    """Return a finding of an account as doctor has it: captiv works without one."""
    return replace(found, status="warn") if found.status == "fail" else found


def _orphans(kind: ProviderType, paths: Paths, listed: list[Pod]) -> Iterator[Finding]:
    if not paths.secret_file.exists() or not paths.database.exists():
        return
    owner = Owner(kind.name, installation_secret(paths.secret_file).id)
    found = [Listed(pod.id, pod.name) for pod in listed]
    with Store.open(paths.database, read_only=True) as store:
        free = lease.is_free(paths.lock_file)
        ledger = store.read(views.known, owner, found, now_ms(), leaderless=free)
    orphans = [pod for pod, about in ledger.items() if about.orphan]
    if orphans:
        todo = (
            f"captiv {kind.name} sweep ends them; captiv {kind.name} list says why: "
            f"{', '.join(orphans)}."
        )
        yield Finding("orphans", "warn", f"{plural(len(orphans), 'pod')} that nobody needs", todo)
    else:
        yield Finding("orphans", "ok", "none")
