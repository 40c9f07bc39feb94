"""One image on its way to a worker and back: what is sent, asked for again, and told of."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from captiv.core.jobs import Job, JobId, RunId
from captiv.core.quiet import Patience
from captiv.core.retry import Death
from captiv.dispatch.delivery import Deliveries, Drained, Suspected
from captiv.dispatch.supervisor import Supervisor
from captiv.errors import EngineFailed, NoWorker, leading
from captiv.images.prepare import Prepared
from captiv.wire import PROTOCOL, CaptionReply, CaptionRequest
from captiv.workers import Traits, UrlWorker
from tests.support import DEADLINE_S
from tests.workers.conftest import answering, captioned, problem, reply, working
from tests.world import World

IMAGE = Prepared(b"\xff\xd8", "image/jpeg", 1, 1, (1, 1))

Answer = Callable[[], Response]


def unknown(**more: bool) -> Answer:
    return lambda: problem(404, "unknown_key", **more)


def failed(**more: bool) -> Answer:
    return lambda: problem(500, "engine_failed", **more)


def full() -> Response:
    return problem(429, "overloaded", headers={"Retry-After": "0.05"})


@dataclass
class Script:
    """A worker that is ready, and gives these answers about images, the last one for ever."""

    answers: list[Answer]
    statuses: list[str] = field(default_factory=lambda: ["ready"])
    """What it says of itself, look by look; the last one for ever."""
    boot_id: str = "boot"
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        path = request.url.path
        if path == "/health":
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            said = {"status": status, "worker": "far", "boot_id": self.boot_id}
            return reply(**said, protocol=PROTOCOL, max_batch=4, permits=8)
        if path == "/api/models":
            return reply(loaded="m", loaded_variant="v", models=[], boot_id=self.boot_id)
        self.asked.append(request.method)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()


@dataclass
class Far:
    """A worker at a URL, and what delivers to it."""

    supervisor: Supervisor
    deliveries: Deliveries

    async def deliver(self, *, suspect: bool = False) -> CaptionReply:
        job = Job(JobId(1), RunId(1), "/x/a.png", "/x/a.txt", 1, 0, 0, suspect)
        with anyio.fail_after(DEADLINE_S):
            return await self.deliveries.run(job, IMAGE, CaptionRequest(model="m"), "key")


@asynccontextmanager
async def far(script: Script, world: World, **patience: float) -> AsyncIterator[Far]:
    serving = answering(script)
    source = UrlWorker(await to_thread.run_sync(serving.__enter__), "token")
    source.traits = Traits(patience=Patience(**patience))
    supervisor = Supervisor(
        source,
        on_phase=world.told.phase,
        on_warning=world.told.warned,
        shared=lambda: False,
    )
    try:
        deliveries = Deliveries(supervisor, source.traits.patience)
        health = await supervisor.begin()
        assert health is not None
        deliveries.opened(health)
        yield Far(supervisor, deliveries)
    finally:
        with anyio.CancelScope(shield=True):
            await supervisor.end()
            await to_thread.run_sync(serving.__exit__, None, None, None)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([captioned], ["POST"]),
        ([working, working, captioned], ["POST", "GET", "GET"]),
        ([full, full, captioned], ["POST", "POST", "POST"]),
        ([working, unknown(), captioned], ["POST", "GET", "POST"]),
    ],
)
async def test_an_image_is_sent_once_and_again_only_where_it_is_not_known(
    world: World, answers: list[Answer], asked: list[str]
) -> None:
    script = Script(answers)
    async with far(script, world) as worker:
        found = await worker.deliver()

    assert found.caption == "a dog"
    assert script.asked == asked


async def test_a_refusal_shrinks_the_window(world: World) -> None:
    async with far(Script([full, captioned]), world) as worker:
        before = worker.deliveries.limit
        await worker.deliver()

        assert worker.deliveries.limit < before


@pytest.mark.parametrize(
    ("killed", "death"), [(False, Death.CRASHED), (True, Death.KILLED)], ids=["crashed", "killed"]
)
async def test_a_suspect_is_told_with_how_its_worker_died(
    world: World, killed: bool, death: Death
) -> None:
    async with far(Script([working, unknown(suspect=True, killed=killed)]), world) as worker:
        with pytest.raises(Suspected) as caught:
            await worker.deliver()

    assert caught.value.death is death


async def test_a_worker_that_never_knows_what_it_was_sent_is_none(world: World) -> None:
    script = Script([unknown()])
    async with far(script, world) as worker:
        with pytest.raises(NoWorker, match="does not know"):
            await worker.deliver()

    assert len(script.asked) == 11


async def test_an_engine_that_fails_is_the_workers_word_while_the_worker_is_well(
    world: World,
) -> None:
    script = Script([failed()])
    async with far(script, world) as worker:
        with pytest.raises(EngineFailed):
            await worker.deliver()

    assert script.asked == ["POST"]


async def test_what_a_worker_says_that_ends_is_asked_of_the_next_one(world: World) -> None:
    def fail() -> Response:
        script.statuses = ["failed", "failed", "ready"]
        return failed()()

    script = Script([fail, captioned])
    async with far(script, world) as worker:
        found = await worker.deliver()

    assert found.caption == "a dog"
    assert script.asked == ["POST", "GET"]


@pytest.mark.parametrize("answer", [working, full], ids=["has it", "takes nothing"])
async def test_a_worker_that_answers_and_gives_no_caption_is_given_up(
    world: World, answer: Answer
) -> None:
    """Nor may what hangs there keep every permit and be waited for in silence."""
    script = Script([answer])
    async with far(script, world, warning_s=0.1, limit_s=0.2, first_s=0.3) as worker:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with anyio.create_task_group() as tg:
                tg.start_soon(worker.deliveries.watch)
                await worker.deliver()

    error = leading(caught.value)
    assert isinstance(error, NoWorker)
    assert "hangs: it answers, and no caption came" in error.message
    (said,) = world.told.warnings
    assert "it is slow, or hangs. captiv waits for it no longer than 0 s." in said


async def test_once_drained_nothing_is_sent_and_what_was_sent_is_waited_for(world: World) -> None:
    def drain() -> Response:
        worker.deliveries.drain()
        return working()

    script = Script([drain, working, captioned])
    async with far(script, world) as worker:
        found = await worker.deliver()
        with pytest.raises(Drained):
            await worker.deliver()

    assert found.caption == "a dog"
    assert script.asked == ["POST", "GET", "GET"]


async def test_an_answer_for_other_work_is_asked_for_again_under_the_images_key(
    world: World,
) -> None:
    script = Script([lambda: captioned("other", caption="a cat"), captioned])
    async with far(script, world) as worker:
        found = await worker.deliver()

    assert found.caption == "a dog"
    assert script.asked == ["POST", "GET"]
    assert worker.deliveries.mixed_up == 1
    (said,) = world.told.warnings
    assert "mixes up answers" in said


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: captioned(model="other"),
        lambda: captioned(of="another"),
        lambda: problem(422, "image_unreadable", key="other"),
    ],
    ids=["model", "worker", "problem"],
)
async def test_the_model_and_the_worker_of_an_answer_have_to_be_those_that_were_asked(
    world: World, wrong: Answer
) -> None:
    script = Script([wrong, captioned])
    async with far(script, world) as worker:
        found = await worker.deliver()

    assert found.caption == "a dog"
    assert worker.deliveries.mixed_up == 1


@pytest.mark.slow
async def test_who_always_answers_for_other_work_is_given_up_in_words(world: World) -> None:
    script = Script([lambda: captioned("other")])
    async with far(script, world) as worker:
        with pytest.raises(NoWorker, match="mixes up answers") as caught:
            await worker.deliver()

    assert "no proxy between" in (caught.value.hint or "")
    assert len(script.asked) == 10
    assert len(world.told.warnings) == 1


async def test_an_answer_of_a_worker_that_was_started_anew_is_asked_for_again_and_blames_nobody(
    world: World,
) -> None:
    def anew() -> Response:
        script.boot_id = "another"
        return captioned(of="another")

    script = Script([anew, lambda: captioned(of="another")])
    async with far(script, world) as worker:
        found = await worker.deliver()

        assert found.boot_id == "another"
        assert (worker.supervisor.number, worker.supervisor.crashes) == (2, 1)
        assert worker.deliveries.mixed_up == 0


async def test_an_answer_of_a_life_that_ended_meanwhile_is_kept(world: World) -> None:
    """It was computed, and has come."""

    def late() -> Response:
        worker.supervisor.boot_id = "the next one"
        return captioned()

    async with far(Script([late]), world) as worker:
        found = await worker.deliver()

    assert found.caption == "a dog"
    assert worker.deliveries.mixed_up == 0
