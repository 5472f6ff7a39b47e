"""Jobs that cost too many workers, as an operator looks at them: list, show, replay, purge."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gram_server.errors import JobNotFound
from gram_server.jobs.codec import from_bytes, load_job
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.settings import Settings

Letter = dict[str, Any]


class DeadLetters:
    """The dead letters of one queue."""

    def __init__(self, settings: Settings) -> None:
        self._connection = RedisConnection(settings.redis)
        self._store = RedisStore(self._connection, settings.queue)

    async def list(self, limit: int) -> Sequence[Letter]:
        """Return the newest letters, without their jobs."""
        letters = await self._read("+", "-", limit)
        return [{name: letter[name] for name in letter if name != "job"} for letter in letters]

    async def show(self, job_id: str) -> Letter:
        """Return the letter of a job; raise ``JobNotFound``."""
        for letter in await self._read("+", "-", None):
            if letter["id"] == job_id:
                return letter
        raise JobNotFound(f"no dead letter is about a job {job_id}")

    async def replay(self, job_id: str) -> str:
        """Queue a job again under its id, with no deadline, and drop its letter."""
        letter = await self.show(job_id)
        job = load_job(letter["job"])
        again = replace(job, attempt=0, deadline_s=None, submitted_s=time.time())
        await self._connection.run("forget", job_id)
        await self._store.submit(again)
        await self._drop([letter])
        return job_id

    async def purge(self, job_id: str | None) -> int:
        """Drop the letter of a job, or all; return how many."""
        letters = await self._read("+", "-", None) if job_id is None else [await self.show(job_id)]
        return await self._drop(letters)

    async def close(self) -> None:
        """Let go of Redis."""
        await self._store.close()

    async def _read(self, newest: str, oldest: str, limit: int | None) -> Sequence[Letter]:
        count = () if limit is None else ("COUNT", limit)
        dead = self._connection.keys.dead
        entries = await self._connection.execute("XREVRANGE", dead, newest, oldest, *count)
        return [_letter(number, fields) for number, fields in entries]

    async def _drop(self, letters: Sequence[Letter]) -> int:
        if not letters:
            return 0
        numbers = [letter["letter"] for letter in letters]
        dropped = await self._connection.execute("XDEL", self._connection.keys.dead, *numbers)
        return int(dropped)


def _letter(number: bytes, fields: dict[bytes, bytes]) -> Letter:
    texts = {name.decode(): value for name, value in fields.items()}
    job = from_bytes(texts.pop("job"))
    letter: Letter = {"letter": number.decode()}
    letter |= {name: value.decode() for name, value in texts.items()}
    return {**letter, "job": job}
