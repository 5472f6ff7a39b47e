"""Random histories of a queue, in memory and in Redis, each compared with the model step by step.

Time moves only when told.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gram_server.job import Event, EventKind, Job, JobState
from gram_server.jobs.store import IdempotencyKey
from gram_server.settings import QueueConfig
from tests.stress.outcome import Outcome
from tests.stress.store_checks import Checks
from tests.stress.store_model import Limits, QueueModel
from tests.stress.store_plan import OWNERS, History, Op, known_of, make_job
from tests.stress.store_sides import LEASE_S, Hand, MemorySide, RedisSide, Side

START_S = 1e6
JUST_S = 2e-6
"""Just after: no two deadlines are so close."""
MARGIN_S = 120.0
"""Nobody asks for what is about to be forgotten: Redis forgets as real time passes, too."""


def play(history: History, keep: Sequence[int] | None = None, *, redis: str | None) -> Outcome:
    """Run a history, or only some of its steps, in memory and, at an address, in Redis."""
    steps = history.steps if keep is None else [history.steps[place] for place in keep]
    outcome = Outcome()
    limits = history.limits
    config = QueueConfig(
        max_trajectories=limits.max_trajectories,
        max_attempts=limits.max_attempts,
        keep_finished_s=limits.keep_finished_s,
        keep_jobs_s=limits.keep_jobs_s,
        keep_keys_s=limits.keep_keys_s,
        max_backlog_s=1e9,
    )
    sides: list[Side] = [MemorySide(config, START_S)]
    if redis is not None:
        sides.append(RedisSide(config, START_S, redis))
    for side in sides:
        _Play(side, limits, outcome).run(steps)
    return outcome


class _Play:
    """One history on one store."""

    def __init__(self, side: Side, limits: Limits, outcome: Outcome) -> None:
        self._side = side
        self._store = side.store
        self._outcome = outcome
        self._model = QueueModel(limits, side.moment())
        self._checks = Checks(side, self._model, outcome)
        self._hands: list[Hand] = []
        self._ghosts: dict[Hand, list[str]] = {}
        self._num_hands = 0
        self._chance = random.Random(0)

    def run(self, steps: Sequence[Op]) -> None:
        for _ in range(2):
            self._connect()
        try:
            for op in steps:
                self._checks.op = op
                self._chance = random.Random(op.seed)
                self._outcome.counts[op.kind] += 1
                (self._checks.stats if op.kind == "stats" else getattr(self, f"_{op.kind}"))()
                self._follow_overdue()
                if self._outcome.differences:
                    return
            self._checks.op = Op(len(steps), "end", 0)
            self._finish()
        finally:
            self._side.close([*self._hands, *self._ghosts])

    # What the API does.

    def _submit(self) -> None:
        self._hand_in(self._job(self._chance.choice([None, *OWNERS])), ())

    def _batch(self) -> None:
        owner, priority = self._chance.choice(OWNERS), self._chance.randrange(3)
        first = self._job(owner)
        count = self._chance.randrange(1, 5)
        parts = [
            replace(self._job(owner), id=f"{first.id}p{place}", batch=first.id, priority=priority)
            for place in range(count)
        ]
        self._hand_in(replace(first, num_parts=count, priority=priority, deadline_s=None), parts)

    def _hand_in(self, job: Job, parts: Sequence[Job]) -> None:
        ticket = None
        if job.owner is not None and self._chance.random() < 0.5:
            key, print_of = self._chance.choice("abcd"), self._chance.choice("xxy")
            ticket = IdempotencyKey(owner=job.owner, key=key, fingerprint=print_of)
        told = None if ticket is None else (ticket.owner, ticket.key, ticket.fingerprint)
        number = self._model.next_number
        known = [
            known_of(one, number + place, tuple(part.id for part in parts) if one is job else ())
            for place, one in enumerate((job, *parts))
        ]
        expected = self._model.submit(known, told)
        got = self._checks.ask(self._store.submit(job, parts=tuple(parts), ticket=ticket))
        self._checks.compare(f"submit {job.id} {told}", got, expected)

    def _cancel(self) -> None:
        job_id = self._any_job()
        expected = self._model.cancel(job_id)
        got = self._checks.ask(self._store.cancel(job_id))
        self._checks.compare(f"cancel {job_id}", got or "ok", expected)

    def _get(self) -> None:
        self._checks.record(self._any_job())

    def _events(self) -> None:
        self._checks.events(self._any_job(), after=self._chance.choice([0, 0, 1, 3]))

    def _page(self) -> None:
        owner, limit = self._chance.choice(OWNERS), self._chance.choice([1, 2, 50])
        cursor, found = None, list[str]()
        for _ in range(100):
            page = self._side.do(self._store.page(owner, cursor=cursor, limit=limit))
            found += [record.job.id for record in page.records]
            cursor = page.cursor
            if cursor is None:
                break
        self._checks.compare(f"pages of {owner}", found, self._model.listed(owner))

    def _spend(self) -> None:
        owner, amount = self._chance.choice(OWNERS), self._chance.randrange(1, 40)
        expected = self._model.spend(owner, amount, 0.02, 20.0)
        got = self._side.do(self._store.take_tokens(owner, amount, rate=0.02, burst=20.0))
        if abs(got - expected) > 0.01:
            self._checks.differ(f"{owner} is to wait {got} s", f"{expected} s")

    # What workers do.

    def _claim(self) -> None:
        self._claim_for(self._chance.choice(self._hands))

    def _claim_for(self, hand: Hand) -> list[Job]:
        max_jobs, max_width = self._chance.randrange(1, 5), self._chance.choice([None, 1, 4])
        claim = hand.store.claim(max_jobs=max_jobs, max_width=max_width, can_wait=False)
        jobs = self._side.do(claim)
        wrong = self._model.claim(
            hand.name,
            [(job.id, job.attempt) for job in jobs],
            max_jobs=max_jobs,
            max_width=float("inf") if max_width is None else max_width,
        )
        for one in wrong:
            told = f"claim {hand.name} {[job.id for job in jobs]}: {one}"
            self._checks.differ(told, "the queue's order")
        return jobs

    def _publish(self) -> None:
        hand, job_id = self._work()
        data: dict[str, Any]
        if self._chance.random() < 0.6:
            kind, data = EventKind.SOLUTION, {"answer": self._chance.randrange(3), "votes": 1}
        else:
            kind, data = EventKind.PROGRESS, {"trajectories": [self._chance.randrange(9)]}
        self._model.publish(hand.name, job_id, kind.value, data)
        self._side.do(hand.store.publish(job_id, Event(kind=kind, data=data)))

    def _complete(self) -> None:
        self._complete_for(*self._work())

    def _complete_for(self, hand: Hand, job_id: str) -> None:
        state = self._chance.choice([JobState.DONE, JobState.DONE, JobState.EXPIRED])
        is_late = state is JobState.EXPIRED
        result: dict[str, Any] = {
            "status": "partial" if is_late else self._chance.choice(["solved", "unsolved"]),
            "solutions": self._chance.choice([[], [1]]) if is_late else [],
            "pad": "x" * self._chance.choice([0, 0, 5000]),
        }
        self._model.complete(hand.name, job_id, state.value, result)
        outcome: Any = state
        self._side.do(hand.store.complete(job_id, result, outcome=outcome))

    def _fail(self) -> None:
        hand, job_id = self._work()
        self._model.fail(hand.name, job_id, "broken")
        self._side.do(hand.store.fail(job_id, code="broken", detail="as planned"))

    def _hand_back(self) -> None:
        hand = self._chance.choice(self._hands)
        ids = [one for one in self._model.held_by(hand.name) if self._chance.random() < 0.5]
        self._model.hand_back(hand.name, ids)
        self._side.do(hand.store.hand_back(ids))

    def _drain(self) -> None:
        """A worker is told to stop: what it has goes back, and it leaves."""
        hand = self._take_away()
        held = self._model.held_by(hand.name)
        self._model.hand_back(hand.name, held)
        self._side.do(hand.store.hand_back(held))
        self._side.do(hand.store.close())

    def _lose(self) -> None:
        """A worker's connection ends with all it has."""
        hand = self._take_away()
        self._model.lose(self._model.held_by(hand.name))
        self._side.do(hand.store.close())

    def _silence(self) -> None:
        """A worker says nothing for longer than its lease, and the others take its jobs."""
        hand = self._take_away()
        end_s = self._model.now_s + LEASE_S
        while self._model.now_s <= end_s:
            self._move(0.4 * LEASE_S)
            if isinstance(self._side, RedisSide):
                self._side.do(self._hands[0].store.reclaim())  # type: ignore[attr-defined]
        held = self._model.held_by(hand.name)
        self._model.lose(held)
        if self._side.has_leases:
            self._model.told |= {(hand.name, job_id) for job_id in held}
        else:
            self._side.do(hand.store.close())
        self._ghosts[hand] = held

    def _late(self) -> None:
        """A worker that was given up goes on talking of jobs it had, then hears the truth."""
        if not self._ghosts:
            return
        hand = self._chance.choice(list(self._ghosts))
        job_id = self._chance.choice([*self._ghosts[hand], self._any_job()])
        event = Event(kind=EventKind.SOLUTION, data={"answer": 99, "votes": 1})
        self._side.do(hand.store.publish(job_id, event))
        if self._chance.random() < 0.5:
            self._side.do(hand.store.hand_back([job_id]))
            self._side.do(hand.store.fail(job_id, code="late", detail="as planned"))
        else:
            self._complete_late(hand, job_id)
        # For the worker it is over.
        self._model.told.discard((hand.name, job_id))
        if self._side.has_leases and self._chance.random() < 0.5:
            self._side.do(hand.store.renew())  # type: ignore[attr-defined]
            del self._ghosts[hand]
            self._hands.append(hand)

    def _complete_late(self, hand: Hand, job_id: str) -> None:
        """A whole result of who was only taken for lost may count, if it is the first."""
        result = {"status": "solved", "solutions": [], "late": True}
        self._side.do(hand.store.complete(job_id, result))
        known = self._model.find(job_id)
        if known is None or known.is_final or job_id not in self._ghosts[hand]:
            return
        record = self._side.do(self._store.get(job_id))
        if record.result == result:
            if known.worker is not None:
                self._model.told.add((known.worker, job_id))
            known.worker = hand.name
            self._model.complete(hand.name, job_id, "done", result)
            self._ghosts[hand].remove(job_id)

    def _wake(self) -> None:
        """A worker slept for longer than its lease, and is the first to notice: nothing is lost."""
        if not isinstance(self._side, RedisSide):
            return
        hand = self._chance.choice(self._hands)
        self._move(1.5 * LEASE_S, silent=hand)
        held = self._model.held_by(hand.name)
        self._side.do(hand.store.reclaim())  # type: ignore[attr-defined]
        if self._chance.random() < 0.5:
            self._claim_for(hand)
        self._renew_all([hand])
        for job_id in held:
            self._checks.record(job_id)

    def _follow_overdue(self) -> None:
        """A job that came back after its deadline ends at once, or after the grace."""
        for job in self._model.overdue():
            if isinstance(self._side, RedisSide):
                self._side.do(self._side.expire())
            if self._side.do(self._store.get(job.id)).state is JobState.EXPIRED:
                self._model.stop(job, "expired")

    def _renew(self) -> None:
        if isinstance(self._side, RedisSide):
            self._renew_all(self._hands)
            self._side.do(self._hands[0].store.reconcile())  # type: ignore[attr-defined]

    def _renew_all(self, hands: Sequence[Hand]) -> None:
        if isinstance(self._side, RedisSide):
            for hand in hands:
                self._side.do(hand.store.renew())  # type: ignore[attr-defined]

    def _replay(self) -> None:
        """An operator hands a dead job in again."""
        if self._model.dead and isinstance(self._side, RedisSide):
            job_id = self._chance.choice(self._model.dead)
            expected = self._model.replay(job_id)
            self._checks.compare("replay", self._checks.ask(self._side.replay(job_id)), expected)

    # What time does.

    def _advance(self) -> None:
        self._move(self._chance.choice([0.01, 0.1, 0.1, 1.0, 1.0, 3.0]))

    def _jump(self) -> None:
        self._move(self._chance.choice([1000.0, 4000.0]))
        # A store in memory forgets when something new comes.
        self._submit()

    def _move(self, duration_s: float, *, silent: Hand | None = None) -> None:
        """Let time go by, through everything that is due on the way; workers keep their leases."""
        model, end_s = self._model, self._model.now_s + duration_s
        while model.now_s < end_s:
            due = [one for one in model.moments() if model.now_s < one <= end_s]
            next_s = due[0] + JUST_S if due else end_s
            self._side.move_to(next_s)
            model.now_s = next_s
            model.expire()
            self._follow_overdue()
        self._renew_all([hand for hand in self._hands if hand is not silent])
        ends = (model.forgotten_s(job) for job in model.jobs.values())
        if any(abs(one - model.now_s) < MARGIN_S for one in ends):
            self._move(2.5 * MARGIN_S, silent=silent)
            self._submit()

    # The end.

    def _finish(self) -> None:
        """Let every job end, and look for what is left behind."""
        self._checks.told(self._hands)
        for hand in [*self._hands]:
            self._hands.remove(hand)
            self._model.hand_back(hand.name, held := self._model.held_by(hand.name))
            self._side.do(hand.store.hand_back(held))
            self._side.do(hand.store.close())
        self._follow_overdue()
        last = self._connect()
        while not self._outcome.differences:
            jobs = self._claim_for(last)
            for job in jobs:
                self._complete_for(last, job.id)
            if not jobs and not any(self._model.waiting(priority) for priority in range(3)):
                break
        for job_id in self._model.jobs:
            if self._outcome.differences:
                return
            self._checks.record(job_id)
            self._checks.events(job_id, after=0)
        self._checks.stats()
        if self._model.reserved:
            self._checks.differ(f"{self._model.reserved} trajectories are reserved", "0")
        if isinstance(self._side, RedisSide):
            self._checks.lasting_keys(self._side)
            self._move(4000.0)
            self._checks.forgotten_keys(self._side)

    # Choosing.

    def _job(self, owner: str | None) -> Job:
        number = len(self._model.jobs)
        return make_job(self._checks.op, number, self._chance, self._model.now_s, owner=owner)

    def _any_job(self) -> str:
        return self._chance.choice([*self._model.jobs, "nobody"])

    def _work(self) -> tuple[Hand, str]:
        """Return a worker and mostly a job of its own."""
        hand = self._chance.choice(self._hands)
        held = self._model.held_by(hand.name)
        if held and self._chance.random() < 0.9:
            return hand, self._chance.choice(held)
        return hand, self._any_job()

    def _connect(self) -> Hand:
        hand = self._side.connect(f"w{self._num_hands}")
        self._num_hands += 1
        self._hands.append(hand)
        return hand

    def _take_away(self) -> Hand:
        """Remove a worker; there are always some left."""
        hand = self._chance.choice(self._hands)
        self._hands.remove(hand)
        while len(self._hands) < 2:
            self._connect()
        return hand
