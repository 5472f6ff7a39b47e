"""Jobs that lost too many workers, for an operator: list, show, replay, purge."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gram_server.errors import JobNotFound, NotReplayed
from gram_server.jobs.codec import from_bytes, load_job, to_bytes
from gram_server.jobs.queued_job import sort_key
from gram_server.jobs.redis_connection import Clock, RedisConnection
from gram_server.jobs.redis_records import dump_submitted
from gram_server.jobs.store import too_full
from gram_server.settings import Settings

Letter = dict[str, Any]

_REFUSALS = {
    "gone": "its letter is no longer there",
    "open": "it has not ended",
    "cancelled": "its batch was cancelled",
}


class DeadLetters:
    """The dead letters of one queue."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._connection = RedisConnection(settings.redis, clock=clock)
        self._config = settings.queue

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
        """Queue a job again under its id, with no deadline, and drop its letter.

        The batch that it is part of is open again until the job has ended. Raises ``NotReplayed``.
        """
        letter = await self.show(job_id)
        job = load_job(letter["job"])
        again = replace(job, attempt=0, deadline_s=None, submitted_s=time.time())
        data = dump_submitted(again, self._config)
        if job.owner is not None:
            # Its place in the list of its owner's jobs stays the same.
            data |= {"owner": job.owner, "place": sort_key(job)}
        clock = self._connection.clock
        request = {"job": data, "max": self._config.max_trajectories, "skew": clock.is_shared}
        reply = await self._connection.run("replay", letter["letter"], to_bytes(request))
        verdict, reserved, rate = (part.decode() for part in reply)
        if verdict == "full":
            width = job.options.width
            raise too_full(int(reserved), width, self._config, rate=float(rate))
        if verdict != "queued":
            raise NotReplayed(f"job {job_id} is not replayed: {_REFUSALS[verdict]}")
        return job_id

    async def purge(self, job_id: str | None) -> int:
        letters = await self._read("+", "-", None) if job_id is None else [await self.show(job_id)]
        return await self._drop(letters)

    async def close(self) -> None:
        await self._connection.close()

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
