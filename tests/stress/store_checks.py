"""What a store says, beside what the model says."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

from gram_server.errors import ServerError
from gram_server.job import EventKind, JobRecord
from tests.faults.conftest import LASTING
from tests.stress.outcome import Outcome
from tests.stress.store_model import Known, QueueModel
from tests.stress.store_plan import Op
from tests.stress.store_sides import Hand, RedisSide, Side

SETTLE_S = 10.0
MAX_TEXT = 500
"""Of each half of a difference, as much as one wants to read."""
T = TypeVar("T")


class Checks:
    """Compares one store with its model."""

    def __init__(self, side: Side, model: QueueModel, outcome: Outcome) -> None:
        self.op = Op(0, "start", 0)
        self._side = side
        self._store = side.store
        self._model = model
        self._outcome = outcome

    def record(self, job_id: str) -> None:
        known = self._model.find(job_id)
        got = self.ask(self._store.get(job_id))
        facts = got if isinstance(got, str) else _facts(got)
        expected = "JobNotFound" if known is None else _expected(known, self._model)
        self.compare(f"record of {job_id}", facts, expected)

    def events(self, job_id: str, *, after: int) -> None:
        known = self._model.find(job_id)
        got = self.ask(self._read_events(job_id, after))
        expected: Any = "JobNotFound"
        if known is not None:
            expected = [event for event in known.events if event[0] > after]
        self.compare(f"events of {job_id} after {after}", got, expected)

    def stats(self) -> None:
        stats, model = self._side.do(self._store.stats()), self._model
        classes = [(one.num_jobs, one.num_trajectories) for one in stats.classes]
        waiting = [model.waiting(priority) for priority in range(3)]
        expected = [(len(jobs), sum(job.width for job in jobs)) for jobs in waiting]
        self.compare("classes", classes, expected)
        running = sum(job.state == "running" and not job.parts for job in model.jobs.values())
        self.compare("running", stats.num_running, running)
        self.compare("reserved", stats.reserved_trajectories, model.reserved)
        self.compare("redelivered", stats.redelivered, model.redelivered)
        counts = {(one.what, one.model, one.priority): n for one, n in stats.counts.items() if n}
        self.compare("counts", counts, dict(model.counts))

    def told(self, hands: list[Hand]) -> None:
        """Every worker must have heard which of its jobs nobody wants any more."""
        known = {hand.name: hand for hand in hands}
        for name, job_id in self._model.told:
            if name in known and not self._side.do(_heard(known[name], job_id)):
                self.differ(f"{name} never heard that {job_id} is not wanted", "a cancellation")

    def lasting_keys(self, side: RedisSide) -> None:
        """No key may stay for ever but those that are meant to, and no entry in a stream."""
        for key in side.do(side.keys_left()):
            if key.left_ms < 0 and not LASTING.match(key.name):
                self.differ(f"{key.name} stays for ever", "a time to live")
        if entries := side.do(side.entries_left()):
            self.differ(f"{entries} entries in the job streams", "0")

    def forgotten_keys(self, side: RedisSide) -> None:
        """Nothing may be left of a job after its time."""
        for key in side.do(side.keys_left()):
            if re.search(":(job|events|answers|parts):", key.name):
                self.differ(f"{key.name} is still there", "nothing of a job after its time")

    async def _read_events(self, job_id: str, after: int) -> list[Any]:
        """Return the events there are; more may come of a job that is not final."""
        events: list[Any] = []

        async def read() -> None:
            async for event in self._store.events(job_id, after=after):
                data = dict(event.data)
                if event.kind is EventKind.ACCEPTED:
                    data = {}
                elif event.kind is EventKind.ERROR:
                    data.pop("detail")
                events.append((event.id, event.kind.value, data))

        known = self._model.find(job_id)
        reading = asyncio.create_task(read())
        if known is None or known.is_final:
            await reading
            return events
        wanted = sum(number > after for number, _, _ in known.events)
        for _ in range(2000):
            await self._side.patience()
            if len(events) >= wanted or reading.done():
                break
        await self._side.patience()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return events

    def ask(self, work: Coroutine[Any, Any, T]) -> T | str:
        try:
            return self._side.do(work)
        except ServerError as error:
            return type(error).__name__

    def compare(self, what: str, got: object, expected: object) -> None:
        if got != expected:
            self.differ(f"{what}: {got}", str(expected))

    def differ(self, what: str, expected: str) -> None:
        where = f"{self._side.name}, step {self.op.number} {self.op.kind}"
        told = f"{where}: {what[:MAX_TEXT]}, expected {expected[:MAX_TEXT]}"
        self._outcome.differences.append(told)


def _facts(record: JobRecord) -> tuple[Any, ...]:
    return (
        record.state.value,
        record.job.attempt,
        None if record.result is None else dict(record.result),
        None if record.error is None else record.error.code,
        [dict(solution) for solution in record.solutions],
        record.finished_s is not None,
        [_part(_facts(part)) for part in record.parts],
    )


def _expected(job: Known, model: QueueModel) -> tuple[Any, ...]:
    return (
        job.state,
        job.attempt,
        job.result,
        job.error,
        job.solutions,
        job.is_final,
        [_part(_expected(model.jobs[part], model)) for part in job.parts],
    )


def _part(facts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a batch must say of a part: its solutions where no result has them."""
    state, _, result, _, solutions, *_ = facts
    return facts[:4], solutions if state == "expired" and result is None else []


async def _heard(hand: Hand, job_id: str) -> bool:
    """Return whether a worker hears of a job before long."""
    for _ in range(int(SETTLE_S / 0.005)):
        if job_id in hand.told:
            return True
        await asyncio.sleep(0.005)
    return False
