import anyio
import pytest
from captiv_worker.pictures import Pictures


@pytest.mark.anyio
async def test_a_picture_waits_until_there_is_room_for_it() -> None:
    pictures, order = Pictures(100), list[str]()
    await pictures.room()
    pictures.hold("a", 60)
    await pictures.room()
    pictures.hold("b", 60)

    async def third() -> None:
        await pictures.room()
        order.append("decoded")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(third)
            await anyio.wait_all_tasks_blocked()
            order.append("freed")
            pictures.free("unknown")
            pictures.free("a")

    assert order == ["freed", "decoded"]
