"""Jobs that lost too many workers, for an operator: list, show, replay, purge."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gram_server.errors import JobNotFound, NotReplayed
from gram_server.job import load_job, to_bytes
from gram_server.jobs.queued_job import sort_key
from gram_server.jobs.redis_connection import RedisConnection
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

    def __init__(self, settings: Settings, *, clock: Callable[[], float] | None = None) -> None:
        self._connection = RedisConnection(settings.redis, clock=clock)
        self._config = settings.queue

    async def list(self, limit: int) -> Sequence[Letter]:
        """Return the newest letters, without their jobs."""
        letters = await self._read(limit)
        return [
            {name: letter[name] for name in letter if name not in ("job", "place")}
            for letter in letters
        ]

    async def show(self, job_id: str) -> Letter:
        """Return the letter of a job; raise ``JobNotFound``."""
        for letter in await self._read(None):
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
            # Its place in the list of its owner's jobs stays the same, however often it is
            # replayed; a part of a batch had none.
            data |= {"owner": job.owner, "place": letter["place"] or sort_key(job)}
        request = {
            "job": data,
            "max": self._config.max_trajectories,
            "skew": self._connection.has_skew,
        }
        reply = await self._connection.run("replay", letter["letter"], to_bytes(request))
        verdict, reserved, rate = (part.decode() for part in reply)
        if verdict == "full":
            width = job.options.width
            raise too_full(int(reserved), width, self._config, rate=float(rate))
        if verdict != "queued":
            raise NotReplayed(f"job {job_id} is not replayed: {_REFUSALS[verdict]}")
        return job_id

    async def purge(self, job_id: str | None) -> int:
        letters = await self._read(None) if job_id is None else [await self.show(job_id)]
        if not letters:
            return 0
        numbers = [letter["letter"] for letter in letters]
        return int(await self._connection.execute("XDEL", self._connection.keys.dead, *numbers))

    async def close(self) -> None:
        await self._connection.close()

    async def _read(self, limit: int | None) -> Sequence[Letter]:
        count = () if limit is None else ("COUNT", limit)
        dead = self._connection.keys.dead
        entries = await self._connection.execute("XREVRANGE", dead, "+", "-", *count)
        letters: list[Letter] = []
        for number, fields in entries:
            texts = {name.decode(): value.decode() for name, value in fields.items()}
            job = json.loads(texts.pop("job"))
            letters.append({"letter": number.decode(), **texts, "job": job})
        return letters
