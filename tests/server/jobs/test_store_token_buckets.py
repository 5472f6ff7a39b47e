"""What a key may ask for, and what it gets back; one ticket is one job."""

from dataclasses import replace

import pytest

from gram_server.errors import JobGone, KeyConflict
from gram_server.jobs.store import IdempotencyKey
from tests.server.jobs.conftest import Harness

pytestmark = pytest.mark.anyio

BUCKET = {"rate": 1.0, "burst": 10.0}


async def test_a_bucket_is_emptied_and_fills_again(harness: Harness) -> None:
    assert await harness.store.take_tokens("a", 15, **BUCKET) == 0.0
    assert await harness.store.take_tokens("a", 1, **BUCKET) > 0.0
    assert await harness.store.take_tokens("b", 1, **BUCKET) == 0.0
    await harness.advance(6.0)
    assert await harness.store.take_tokens("a", 1, **BUCKET) == 0.0


async def test_what_is_given_back_can_be_taken_again_and_no_more(harness: Harness) -> None:
    assert await harness.store.take_tokens("a", 25, **BUCKET) == 0.0
    assert await harness.store.take_tokens("a", -25, **BUCKET) == 0.0
    assert await harness.store.take_tokens("a", -1000, **BUCKET) == 0.0
    assert await harness.store.take_tokens("a", 15, **BUCKET) == 0.0
    assert await harness.store.take_tokens("a", 1, **BUCKET) > 0.0


async def test_a_ticket_is_known_once_its_job_is_there(harness: Harness) -> None:
    ticket = IdempotencyKey(owner="a", key="order:17", fingerprint="f")
    assert await harness.store.known(ticket) is None
    job = replace(harness.job("j"), owner="a")
    await harness.store.submit(job, ticket=ticket)
    assert await harness.store.known(ticket) == "j"
    assert await harness.store.known(replace(ticket, owner="b")) is None
    with pytest.raises(KeyConflict):
        await harness.store.known(replace(ticket, fingerprint="g"))
    await harness.store.cancel("j")
    await harness.advance(3601.0)
    with pytest.raises(JobGone):
        await harness.store.known(ticket)
