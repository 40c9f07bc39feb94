import pytest

from captiv.core.jobs import Failure, Job, JobId, RunId
from captiv.dispatch.refusals import Refusals
from captiv.errors import WorkerRejected

ERROR = WorkerRejected("a setting that it does not have", hint="See there.")


def failure(number: int) -> Failure:
    job = Job(JobId(number), RunId(1), f"/x/{number}.png", "/x/a.txt", 1, 0, 0, suspect=False)
    return Failure(job, "image_refused", ERROR.message)


def test_images_that_are_refused_between_others_are_at_fault_themselves() -> None:
    refusals = Refusals()
    for number in (1, 2):
        refusals.hold(failure(number), ERROR)

    assert refusals.settle() == [failure(1), failure(2)]
    assert refusals.settle() == []
    refusals.hold(failure(3), ERROR)
    assert refusals.jobs == [failure(3).job]


def test_several_in_a_row_are_the_requests_fault_and_none_of_them_fails() -> None:
    refusals = Refusals()
    with pytest.raises(WorkerRejected, match="a setting") as caught:
        for number in range(1, 9):
            refusals.hold(failure(number), ERROR)

    assert (caught.value.hint or "").startswith("See there. 3 different images in a row")
    assert [job.id for job in refusals.jobs] == [1, 2, 3]
    assert refusals.settle() == []
