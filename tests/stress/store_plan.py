"""What happens in a history of a queue, planned before any of it does.

Every step draws from a number of its own, so that a history stays the same when steps are left out.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

from gram_server.job import Job, SolveOptions
from tests.stress.store_model import Known, Limits

OWNERS = ("bob", "eve")
WEIGHTS = {
    "submit": 20,
    "batch": 6,
    "claim": 20,
    "publish": 10,
    "complete": 14,
    "fail": 3,
    "hand_back": 4,
    "lose": 3,
    "silence": 3,
    "wake": 3,
    "late": 3,
    "renew": 2,
    "cancel": 7,
    "page": 4,
    "get": 4,
    "events": 4,
    "stats": 4,
    "spend": 3,
    "replay": 4,
    "advance": 14,
    "jump": 2,
    "drain": 1,
}
DEADLY = {"batch": 12, "claim": 30, "lose": 10, "silence": 6, "replay": 12}
"""Of histories in which many workers are lost."""


class Op(NamedTuple):
    """A step of a history."""

    number: int
    kind: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that will happen."""

    limits: Limits
    steps: tuple[Op, ...]


def plan(seed: int) -> History:
    """Return a history; the same for the same seed."""
    chance = random.Random(seed)
    is_deadly = chance.random() < 0.4
    weights = {**WEIGHTS, **DEADLY} if is_deadly else WEIGHTS
    kinds = chance.choices(list(weights), list(weights.values()), k=chance.choice([30, 60, 120]))
    return History(
        limits=Limits(
            max_trajectories=chance.choice([20, 60, 400]),
            max_attempts=chance.choice([1, 1, 2] if is_deadly else [1, 2, 3, 100]),
            keep_finished_s=600.0,
            keep_jobs_s=3600.0,
            keep_keys_s=9000.0,
        ),
        steps=tuple(Op(number, kind, chance.randrange(2**32)) for number, kind in enumerate(kinds)),
    )


def make_job(op: Op, number: int, chance: random.Random, now_s: float, *, owner: str | None) -> Job:
    """Return the job that a step hands in; ``number`` jobs came before it."""
    deadline = chance.choice([None, None, None, 0.0, 2.0, 50.0])
    # No two at once: then either may end first.
    fraction = chance.randrange(1, 10**6) / 1e6
    return Job(
        id=f"j{op.number:04d}" if op.kind in ("submit", "batch") else f"j{op.number:04d}n{number}",
        puzzle="sudoku",
        task="sudoku-4x4",
        model=chance.choice(["m", "n"]),
        body={},
        options=SolveOptions(model="m", seed=2**63 - 1, width=chance.choice([1, 1, 2, 5])),
        submitted_s=now_s,
        deadline_s=None if deadline is None else now_s + deadline + fraction,
        priority=chance.randrange(3),
        owner=owner,
    )


def known_of(job: Job, number: int, parts: tuple[str, ...]) -> Known:
    """Return a job as the model knows it."""
    return Known(
        id=job.id,
        width=job.options.width,
        priority=job.priority,
        model=job.model,
        owner=job.owner,
        batch=job.batch,
        submitted_s=job.submitted_s,
        queued_s=job.submitted_s,
        deadline_s=job.deadline_s,
        number=number,
        parts=parts,
    )
