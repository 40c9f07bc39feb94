"""The pod provider failed or refused, or a pod of its may bill."""

from captiv.errors.base import CaptivError, Fault
from captiv.exits import ExitCode


class ProviderError(CaptivError):
    """The pod provider failed or refused; `detail` keeps its own words."""

    code = "provider"
    fault = Fault.PROVIDER
    exit_code = ExitCode.NO_WORKER

    def __init__(self, message: str, *, detail: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.detail = detail


class ProviderUnreachable(ProviderError):
    """No answer of the provider, or one that says it failed itself.

    `sent` is False where no connection came about, so that nothing can have been done; `answered`
    is True where the provider itself said that it failed.
    """

    code = "provider_unreachable"
    hint = "Try again in a few minutes."

    def __init__(
        self,
        message: str,
        *,
        sent: bool = True,
        answered: bool = False,
        detail: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.sent, self.answered = sent, answered


class ProviderBusy(ProviderError):
    """Too many calls: nothing was done, and nothing will be for `retry_after_s`."""

    code = "provider_busy"

    def __init__(
        self, message: str, *, retry_after_s: float, detail: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.retry_after_s = retry_after_s


class ProviderBlocked(ProviderError):
    """Something in front of the API, not the API, refused."""

    code = "provider_blocked"
    hint = "A proxy, VPN or firewall may stand between; try from another network."


class ProviderEnded(ProviderError):
    """The provider has switched off this version of its API."""

    code = "provider_ended"
    hint = "Upgrade captiv: pip install -U captiv"


class ProviderMismatch(ProviderError):
    """The answer is none that the provider's contract knows."""

    code = "provider_mismatch"
    hint = (
        "Check the address of the provider's API in the settings; if it is right, upgrade captiv."
    )


class ProviderRejected(ProviderError):
    """The provider refused the request itself; the same request will fail again."""

    code = "provider_rejected"


class KeyRefused(ProviderError):
    """The API key is wrong, expired or revoked."""

    code = "key_refused"
    fault = Fault.PERSON
    exit_code = ExitCode.CONFIGURATION
    hint = "Set a valid API key of the provider: captiv config set, or its variable."


class AccessDenied(ProviderError):
    """The key is valid, but it, or the account, may not do this."""

    code = "access_denied"
    fault = Fault.PERSON
    exit_code = ExitCode.CONFIGURATION
    hint = "Give the key write access to pods in the provider's console, or use another GPU."


class NoBalance(ProviderError):
    """The account has too little money for any pod."""

    code = "no_balance"
    fault = Fault.PERSON
    exit_code = ExitCode.CONFIGURATION
    hint = "Add credit in the provider's console."


class NoCapacity(ProviderError):
    """The pod cannot be placed now; another GPU type, cloud or data center may do.

    A request that breaks one of the provider's rules may look the same: if every candidate ends
    here, the last `detail` is what the person should read.
    """

    code = "no_capacity"
    hint = "Try again later, or allow another cloud, GPU type or price."


class PodMayExist(ProviderError):
    """A pod was asked for and no clear answer came: it may exist, and bill, under `name`."""

    code = "pod_may_exist"
    exit_code = ExitCode.MAY_BILL

    def __init__(
        self,
        message: str,
        *,
        name: str,
        answered: bool = False,
        detail: str = "",
        hint: str | None = None,
    ) -> None:
        """Args: `answered`: the service itself said that it failed; else its answer is lost."""
        super().__init__(message, detail=detail, hint=hint)
        self.name = name
        self.answered = answered


class PodMayBill(ProviderError):
    """A pod was ordered to end, and was not seen to: it may still bill."""

    code = "pod_may_bill"
    exit_code = ExitCode.MAY_BILL


class PodGone(ProviderError):
    """The pod does not exist, or not any more."""

    code = "pod_gone"


class PodConflict(ProviderError):
    """The pod's present state does not allow this."""

    code = "pod_conflict"
