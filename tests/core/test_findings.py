from captiv.core.findings import Finding, first_error
from captiv.errors import ModelError, NoWorker


def test_a_failure_says_what_to_do_and_ends_a_run_that_needs_it() -> None:
    error = ModelError("It does not fit.", hint="Take a smaller one.")

    found = Finding.failed("memory", error)

    assert (found.status, found.detail, found.todo) == ("fail", error.message, error.hint)
    assert found.error is error


def test_the_first_error_counts_and_a_warning_keeps_nothing_from_beginning() -> None:
    first, second = NoWorker("first"), NoWorker("second")
    fine, warned = Finding("a", "ok", "fine"), Finding("b", "warn", "slow")

    assert first_error([fine, warned]) is None
    both = [warned, Finding.failed("c", first), Finding.failed("d", second)]
    assert first_error(both) is first
