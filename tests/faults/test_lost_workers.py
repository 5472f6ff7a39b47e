"""Workers that are killed, stopped, slow or poisoned."""

import asyncio
import time

import pytest

from gram_server.job import JobState
from tests.faults.conftest import EASY, Queue, Site, answers, end_of
from tests.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

LEASE_S = 1.5
WHOLE = ["accepted", "solution", "done"]


async def test_the_job_of_a_killed_worker_is_done_by_another_within_its_lease(
    queue: Queue, site: Site
) -> None:
    first = await site.worker(queue.url, "--lease-s", str(LEASE_S), "--work-s", "30")
    job_id = await queue.submit()
    await queue.until_running(1)
    await site.worker(queue.url, "--lease-s", str(LEASE_S), "--work-s", "0.1")
    first.kill()
    killed_s = time.monotonic()
    [record] = await queue.done([job_id])
    # Far below the 30 s that the killed one would have taken, also on a busy machine.
    assert time.monotonic() - killed_s < LEASE_S + 10.0
    assert record.job.attempt == 1
    assert await queue.kinds(job_id) == WHOLE
    await queue.clean()


@pytest.mark.faults
async def test_a_worker_that_wakes_up_too_late_changes_nothing(queue: Queue, site: Site) -> None:
    sleeper = await site.worker(queue.url, "--lease-s", str(LEASE_S), "--work-s", "0.5")
    job_id = await queue.submit()
    await asyncio.sleep(0.2)
    await queue.until_running(1)
    sleeper.pause()
    other = await site.worker(queue.url, "--lease-s", str(LEASE_S), "--work-s", "0.1")
    [record] = await queue.ends([job_id])
    sleeper.resume()
    await asyncio.sleep(1.5)
    later = await queue.store.get(job_id)
    assert (later.result, later.state, later.job.attempt) == (record.result, "done", 1)
    assert f"-{other.pid}-" in record.result["model"]
    assert await queue.kinds(job_id) == WHOLE
    # It is as good as before.
    other.kill()
    [record] = await queue.ends([await queue.submit()])
    assert f"-{sleeper.pid}-" in record.result["model"]
    await queue.clean()


@pytest.mark.faults
async def test_a_job_that_takes_several_leases_is_handed_out_once(queue: Queue, site: Site) -> None:
    for _ in range(2):
        await site.worker(queue.url, "--lease-s", "0.6", "--work-s", "2.5")
    records = await queue.done(await queue.submit_many(4))
    assert [record.job.attempt for record in records] == [0] * 4
    assert (await queue.store.stats()).redelivered == 0
    await queue.clean()


@pytest.mark.faults
async def test_a_job_that_kills_its_workers_goes_to_the_dead_letters(
    queue: Queue, site: Site
) -> None:
    # The good jobs are lost with the deadly one beside them, until each has its last chance.
    flags = ("--lease-s", "0.6", "--max-attempts", "2", "--work-s", "0.05", "--room", "8")
    poison = await queue.submit(seed=13)
    good = await queue.submit_many(6)
    for _ in range(3):
        assert await end_of(await site.worker(queue.url, *flags)) == 1
    await site.worker(queue.url, *flags)
    [record] = await queue.ends([poison])
    assert record.state is JobState.FAILED
    assert (record.error.code, record.job.attempt) == ("worker_lost", 3)
    await queue.done(good)
    [(_, letter)] = await queue.redis.xrange("{gram}:1:dead")
    assert (letter[b"id"].decode(), letter[b"reason"]) == (poison, b"worker_lost")
    await queue.clean()


@pytest.mark.faults
async def test_a_rolling_restart_at_load_loses_nothing(queue: Queue, site: Site) -> None:
    flags = ("--lease-s", "5", "--work-s", "0.15", "--room", "4")
    workers = [await site.worker(queue.url, *flags) for _ in range(2)]
    job_ids = await queue.submit_many(80)
    for old in workers:
        await site.worker(queue.url, *flags)
        old.process.terminate()
        assert await end_of(old) == 0
    records = await queue.done(job_ids)
    assert {record.job.attempt for record in records} == {0}
    await queue.clean()


async def test_nobody_waits_for_ever_where_no_worker_is_left(
    queue: Queue, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAM_SERVER_MAX_BACKLOG_S", "1.5")
    worker = await site.worker(queue.url, "--work-s", "0.05")
    _, client = await site.api(queue.url)
    assert (await client.post("/solve", content=EASY)).status_code == 200
    worker.process.terminate()
    await end_of(worker)
    stream = {"Accept": "text/event-stream"}
    waited, streamed = await asyncio.gather(
        client.post("/solve", content=EASY),
        client.post("/solve", content=EASY, headers=stream),
    )
    assert (waited.status_code, waited.json()["code"]) == (503, "not_ready")
    assert int(waited.headers["Retry-After"]) >= 1
    last = streamed.text.strip().split("\n\n")[-1]
    assert streamed.status_code == 503 or "event: error" in last
    assert "not_ready" in last
    # By now it is known, and said at once; work that nobody waits for is taken.
    assert (await client.post("/solve", content=EASY)).status_code == 503
    job = await client.post("/jobs", content=EASY)
    assert job.status_code == 202
    await site.worker(queue.url, "--work-s", "0.05")
    done = await client.get(f"/jobs/{job.json()['id']}?wait=30")
    assert done.json()["state"] == "done"
    await until(lambda: answers(client, "/solve", 200, post=EASY), every_s=0.02)
    await queue.clean()
