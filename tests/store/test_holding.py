from captiv.store import Store, holding, jobs, lease
from tests.store.scene import NOW, enqueue


def test_only_the_code_of_the_command_that_holds_a_run_is_kept(store: Store) -> None:
    run = enqueue(store)
    holder, other = (
        store.write(lease.begin_session, pid, "here", "follower", NOW) for pid in (1, 2)
    )

    store.write(holding.hold, run.id, holder)
    store.write(holding.leave, run.id, other, 130)
    assert store.read(holding.exit_code, run.id) is None
    store.write(holding.leave, run.id, holder, 5)
    assert store.read(holding.exit_code, run.id) == 5

    store.write(holding.hold, run.id, other)
    assert store.read(holding.exit_code, run.id) is None


def test_the_code_of_a_run_that_is_set_aside_is_forgotten(store: Store) -> None:
    run = enqueue(store)
    holder = store.write(lease.begin_session, 1, "here", "dispatcher", NOW)
    store.write(holding.hold, run.id, holder)
    store.write(holding.leave, run.id, holder, 130)

    store.write(jobs.cancel, run.id, NOW)

    assert store.read(holding.exit_code, run.id) is None


def test_a_run_is_held_until_its_holder_ends_or_is_heard_no_more(store: Store) -> None:
    run = enqueue(store)
    holder = store.write(lease.begin_session, 1, "here", "dispatcher", NOW)

    def held(since_ms: int = NOW, *, leaderless: bool = False) -> bool:
        return store.read(
            lambda conn: holding.is_held(conn, run.id, since_ms, leaderless=leaderless)
        )

    assert not held()
    store.write(holding.hold, run.id, holder)
    assert held()
    assert not held(NOW + 1)
    assert not held(leaderless=True)
    store.write(lease.end_session, holder, NOW)
    assert not held()
