"""Which jobs a worker takes from the store: those that it has slots for, and a few more.

A worker leaves jobs to others that may have slots for them. The jobs that it holds never shut out
jobs of higher classes or of other models.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from gram_core.catalog import ModelInfo
from gram_server.job import PRIORITY_CLASSES, Job
from gram_server.jobs.store import WorkerStore
from gram_server.worker.claimed_job import ClaimedJob

MAX_HELD_JOBS = 256
"""Jobs a worker holds at once; for a full worker, jobs per model, lower classes not counted. Jobs
that only wait for exact searches do not count: ``search_pool`` bounds them."""
MAX_SHARING_JOBS = 32
"""Jobs of a model that may share the slots of a full worker, lower classes not counted; more wait
for a worker with free slots."""
FULL_POLL_S = 0.02
"""Seconds for which a full worker leaves a job to others before it looks for one."""


class Intake:
    """Claims jobs for a worker."""

    def __init__(
        self,
        store: WorkerStore,
        models: Mapping[str, ModelInfo],
        free_slots: Callable[[], int | None],
        *,
        held: Mapping[str, ClaimedJob],
        changed: asyncio.Event,
    ) -> None:
        """``models`` has keys of the forms name and name@fingerprint.

        ``free_slots`` returns None where no other worker could take what this one leaves.
        ``changed`` is set when one of the ``held`` jobs has left the engine.
        """
        self._store = store
        self._models = models
        self._free_slots = free_slots
        self._held = held
        self._changed = changed

    async def claim(self) -> list[Job]:
        """Claim what there are slots for; when full, wait, then claim one job to share them."""
        free_slots = self._free_slots()
        if not self._is_full():
            return await self._store.claim(
                max_jobs=MAX_HELD_JOBS - self._num_in_engine,
                max_width=free_slots,
                models=self._models.keys(),
            )
        self._changed.clear()
        # Not ``wait_for``: before Python 3.12 it loses a cancellation that comes with the change.
        with suppress(TimeoutError):
            async with asyncio.timeout(FULL_POLL_S):
                await self._changed.wait()
        return await self._claim_beyond(MAX_HELD_JOBS if free_slots is None else MAX_SHARING_JOBS)

    async def _claim_beyond(self, limit: int) -> list[Job]:
        """When full, claim a job of a model and class that has fewer than ``limit`` jobs.

        Jobs of lower classes do not count: the engine lets them wait.
        """
        tried: list[str] = []
        for lowest in reversed(range(len(PRIORITY_CLASSES))):
            models = self._models_below(limit, lowest)
            if models == tried:
                continue
            if not self._is_full():
                break
            if jobs := await self._store.claim(
                max_jobs=1, can_wait=False, models=models, down_to=lowest
            ):
                return jobs
            tried = models
        return []

    def _models_below(self, limit: int, lowest: int) -> list[str]:
        held = Counter(
            claimed.model.name
            for claimed in self._held.values()
            if claimed.job.priority <= lowest and not claimed.has_left_engine
        )
        return [name for name, model in self._models.items() if held[model.name] < limit]

    @property
    def _num_in_engine(self) -> int:
        return sum(not claimed.has_left_engine for claimed in self._held.values())

    def _is_full(self) -> bool:
        free_slots = self._free_slots()
        return self._num_in_engine >= MAX_HELD_JOBS or (free_slots is not None and free_slots <= 0)
