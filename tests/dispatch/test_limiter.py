import anyio
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from captiv.core.window import Window
from captiv.dispatch.limiter import Limiter


class Crowd:
    """Tasks at one limiter: who came in, in which order, and how many at once."""

    def __init__(self, limit: int) -> None:
        self.limiter = Limiter(Window(limit, limit))
        self.entered: list[int] = []
        self.inside = 0
        self.most = 0
        self.scopes: dict[int, anyio.CancelScope] = {}
        self.leave: dict[int, anyio.Event] = {}

    async def visit(self, number: int) -> None:
        self.leave[number] = anyio.Event()
        with anyio.CancelScope() as self.scopes[number]:
            async with self.limiter:
                self.entered.append(number)
                self.inside += 1
                self.most = max(self.most, self.inside)
                try:
                    await self.leave[number].wait()
                finally:
                    self.inside -= 1


async def settle() -> None:
    for _ in range(10):
        await checkpoint()


async def test_first_come_first_served() -> None:
    crowd = Crowd(2)
    async with anyio.create_task_group() as tg:
        for number in range(6):
            tg.start_soon(crowd.visit, number)
            await settle()
        for number in range(6):
            crowd.leave[number].set()
            await settle()

    assert crowd.entered == list(range(6))
    assert crowd.most == 2


async def test_one_that_is_cancelled_when_its_turn_has_come_passes_it_on() -> None:
    crowd = Crowd(1)
    async with anyio.create_task_group() as tg:
        for number in range(3):
            tg.start_soon(crowd.visit, number)
            await settle()
        crowd.leave[0].set()  # will admit number 1, which
        crowd.scopes[1].cancel()  # is on its way out by then
        await settle()
        assert crowd.entered[-1] == 2
        crowd.leave[2].set()


async def test_a_wider_window_admits_who_waits() -> None:
    limiter = Limiter(Window(1, 3))
    inside: list[int] = []

    async def visit(number: int) -> None:
        async with limiter:
            inside.append(number)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tg:
        for number in range(3):
            tg.start_soon(visit, number)
        await settle()
        assert inside == [0]
        limiter.answered()
        await settle()
        assert inside == [0, 1]
        tg.cancel_scope.cancel()


ACTIONS = st.lists(st.tuples(st.sampled_from(["leave", "cancel"]), st.integers(0, 11)), max_size=30)


@settings(max_examples=60)
@given(limit=st.integers(1, 4), actions=ACTIONS)
def test_no_place_is_lost_or_given_twice_whoever_is_cancelled(
    limit: int, actions: list[tuple[str, int]]
) -> None:
    async def trial() -> None:
        crowd = Crowd(limit)
        async with anyio.create_task_group() as tg:
            for number in range(12):
                tg.start_soon(crowd.visit, number)
            await settle()
            for action, number in actions:
                if action == "leave":
                    crowd.leave[number].set()
                else:
                    crowd.scopes[number].cancel()
                await checkpoint()
            await settle()
            for event in crowd.leave.values():
                event.set()
            await settle()
        assert crowd.inside == 0
        assert crowd.most <= limit
        assert crowd.entered == sorted(crowd.entered)
        cancelled = {n for a, n in actions if a == "cancel"}
        assert set(range(12)) - cancelled <= set(crowd.entered)
        with anyio.fail_after(1):
            async with crowd.limiter:
                pass

    anyio.run(trial)


async def test_a_worker_that_takes_more_lets_in_who_waits() -> None:
    crowd = Crowd(2)
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(crowd.visit, number)
        await settle()
        assert crowd.inside == 2

        crowd.limiter.told(3, 9)
        await settle()
        assert crowd.inside == 6

        tasks.cancel_scope.cancel()
