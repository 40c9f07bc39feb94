from captiv.clock import now_ms
from captiv.core.jobs import JobId
from captiv.store import jobs, runs
from tests.world import World


async def test_what_is_claimed_ahead_of_a_run_that_is_served_no_more_goes_back(
    world: World,
) -> None:
    one = await world.enqueue(*await world.pictures(10))
    two = await world.enqueue(
        *await world.pictures(10, prefix="q"), spec=world.spec(recursive=True)
    )
    claims = world.claims()
    claims.serve([one.id])
    first = await claims.next(2, now_ms())

    claims.serve([two.id])
    second = await claims.next(2, now_ms())

    assert {job.run_id for job in first} == {one.id}
    assert {job.run_id for job in second} == {two.id}
    counts = await world.counts(one)
    assert (counts.running, counts.pending) == (2, 8)


async def test_what_is_claimed_ahead_of_a_cancelled_run_is_cancelled(world: World) -> None:
    run = await world.enqueue(*await world.pictures(10))
    claims = world.claims()
    claims.serve([run.id])
    await claims.next(2, now_ms())
    await world.store.awrite(runs.set_aside, run.id, now_ms())

    claims.serve([])
    assert await claims.next(5, now_ms()) == []

    counts = await world.counts(run)
    assert (counts.running, counts.cancelled) == (2, 8)


async def test_giving_back_returns_everything_uncharged_and_marks_the_suspects(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(5))
    claims = world.claims()
    claims.serve([run.id])
    taken = await claims.next(3, now_ms())
    await world.store.awrite(jobs.charge_try, taken[0])
    claims.settled(taken[0])

    await claims.give_back({claims.key(taken[1])})

    rows = await world.rows(run)
    assert {row.state.value for row in rows.values()} == {"pending"}
    assert [row.tries for row in rows.values()] == [1, 0, 0, 0, 0]
    suspect = await world.store.awrite(jobs.claim_suspect, run.id, world.session, now_ms())
    assert suspect is not None
    assert suspect.id == taken[1].id
    assert (await world.counts(run)).pending == 4
    claims.serve([])
    assert claims.empty_handed


async def test_a_key_names_the_work_and_never_the_attempt(world: World) -> None:
    run = await world.enqueue(*await world.pictures(2))
    claims = world.claims()
    claims.serve([run.id])
    first = await claims.next(2, now_ms())
    keys = [claims.key(job) for job in first]
    await claims.give_back()

    claims.serve([run.id])
    again = await claims.next(2, now_ms())

    assert [claims.key(job) for job in again] == keys
    assert [job.attempt for job in again] == [2, 2]
    assert len(set(keys)) == 2
    charged = again[0].__class__(
        JobId(again[0].id), run.id, *again[0].place, 2, tries=1, crashes=0, suspect=False
    )
    assert claims.key(charged) != keys[0]


async def test_near_the_end_nothing_is_kept_from_other_lanes(world: World) -> None:
    run = await world.enqueue(*await world.pictures(40))
    one, two = world.claims(), world.claims()
    one.serve([run.id])
    two.serve([run.id])
    await one.next(2, now_ms())
    assert (await world.counts(run)).pending == 8

    one.serve([run.id], ahead=0)
    await one.next(3, now_ms())

    counts = await world.counts(run)
    assert (counts.running, counts.pending) == (5, 35)
    assert one.holds(run.id)
    assert not two.holds(run.id)
    assert len(await two.next(20, now_ms())) == 20
