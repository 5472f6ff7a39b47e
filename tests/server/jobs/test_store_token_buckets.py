"""What a key may ask for, and what it gets back; one ticket is one job."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gram_server.errors import JobGone, KeyConflict
from gram_server.job import Job
from gram_server.jobs.store import IdempotencyKey

pytestmark = pytest.mark.anyio

MakeJob = Callable[..., Job]
SHARE = {"rate": 1.0, "burst": 10.0}


async def test_a_share_is_spent_and_grows_again(bench: Any) -> None:
    assert await bench.store.spend("a", 15, **SHARE) == 0.0
    assert await bench.store.spend("a", 1, **SHARE) > 0.0
    assert await bench.store.spend("b", 1, **SHARE) == 0.0
    await bench.advance(6.0)
    assert await bench.store.spend("a", 1, **SHARE) == 0.0


async def test_what_is_given_back_can_be_spent_again_and_no_more(bench: Any) -> None:
    assert await bench.store.spend("a", 25, **SHARE) == 0.0
    assert await bench.store.spend("a", -25, **SHARE) == 0.0
    assert await bench.store.spend("a", -1000, **SHARE) == 0.0
    assert await bench.store.spend("a", 15, **SHARE) == 0.0
    assert await bench.store.spend("a", 1, **SHARE) > 0.0


async def test_a_ticket_is_known_once_its_job_is_there(bench: Any, make_job: MakeJob) -> None:
    ticket = IdempotencyKey(owner="a", key="order:17", fingerprint="f")
    assert await bench.store.known(ticket) is None
    job = replace(make_job("j"), owner="a")
    await bench.store.submit(job, ticket=ticket)
    assert await bench.store.known(ticket) == "j"
    assert await bench.store.known(replace(ticket, owner="b")) is None
    with pytest.raises(KeyConflict):
        await bench.store.known(replace(ticket, fingerprint="g"))
    await bench.store.cancel("j")
    await bench.advance(3601.0)
    with pytest.raises(JobGone):
        await bench.store.known(ticket)
