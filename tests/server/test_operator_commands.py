"""``gram-server dlq`` and ``gram-server key``, as an operator types them."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from gram_server.api.keys import KeyFile
from gram_server.cli import main
from gram_server.job import JobState
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.settings import QueueConfig, RedisConfig
from tests.jobs import new_job


async def fill(url: str, *job_ids: str) -> None:
    """Let each job cost the one worker that it may."""
    config = RedisConfig(store=url)
    store = RedisStore(RedisConnection(config), QueueConfig())
    for job_id in job_ids:
        await store.submit(new_job(job_id))
        for attempt in range(2):
            side = RedisWorker(
                RedisConnection(config), name=f"w{attempt}", lease_s=5.0, max_attempts=1
            )
            await side.claim(max_jobs=8)
            await side.close()
    await store.close()


async def state_of(url: str, job_id: str) -> JobState:
    store = RedisStore(RedisConnection(RedisConfig(store=url)), QueueConfig())
    try:
        return (await store.get(job_id)).state
    finally:
        await store.close()


@pytest.fixture
def url(redis_url: str) -> str:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    return redis_url


def dlq(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["dlq", *arguments, "--store", url])


def listed(url: str) -> list[Any]:
    return [letter["id"] for letter in json.loads(dlq(url, "list").stdout)]


@pytest.mark.redis
def test_dead_letters_are_listed_shown_replayed_and_purged(url: str) -> None:
    asyncio.run(fill(url, "a", "b", "c"))
    assert listed(url) == ["c", "b", "a"]
    letter = json.loads(dlq(url, "show", "b").stdout)
    assert (letter["reason"], letter["worker"]) == ("worker_lost", "w1")
    assert letter["job"]["body"] == {"puzzle": "sudoku", "grid": "1..............."}
    assert asyncio.run(state_of(url, "b")) is JobState.FAILED
    assert json.loads(dlq(url, "replay", "b").stdout) == "b"
    assert asyncio.run(state_of(url, "b")) is JobState.QUEUED
    assert listed(url) == ["c", "a"]
    assert json.loads(dlq(url, "purge", "a").stdout) == 1
    assert listed(url) == ["c"]
    assert json.loads(dlq(url, "purge", "--all").stdout) == 1
    assert listed(url) == []


@pytest.mark.redis
def test_a_letter_that_is_not_there_is_one_sentence(url: str) -> None:
    for command in ("show", "replay", "purge"):
        ran = dlq(url, command, "nothing")
        assert (ran.exit_code, ran.stdout) == (1, "")
        assert "nothing" in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["dlq", "list"],
        ["dlq", "purge", "--store", "redis://x"],
        ["dlq", "purge", "a", "--all", "--store", "redis://x"],
        ["dlq", "list", "--store", "http://x"],
        ["key", "me"],
        ["key", "me", "--scope", "everything"],
        ["key", "a/b", "--scope", "solve"],
        ["key", "me", "--scope", "solve", "--trajectories-per-s", "nan"],
        ["key", "me", "--scope", "solve", "--expires", "2030-01-31"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    ran = CliRunner().invoke(main, arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")


def test_a_key_is_made_with_the_entry_that_lets_it_in(tmp_path: Path) -> None:
    arguments = ["key", "me", "--scope", "solve", "--scope", "jobs", "--trajectories-per-s", "5"]
    ran = CliRunner().invoke(main, arguments)
    entry = json.loads(ran.stdout)
    token = ran.stderr.strip().rsplit(" ", 1)[1]
    assert entry["sha256"] == hashlib.sha256(token.encode()).hexdigest()
    assert token not in ran.stdout
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [entry]}), "utf-8")
    key = KeyFile(path).find(token)
    assert key is not None
    assert sorted(key.scopes) == ["jobs", "solve"]
    assert (key.name, key.trajectories_per_s) == ("me", 5.0)
