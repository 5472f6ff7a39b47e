"""Runs many trajectories of many instances through one full batch, each row at its own step.

Rows leave when their answer verifies or their depth is used, and take the next trajectory at once.
Offline only: the server's engine is another thing, with jobs, fairness and deadlines.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_core.confirmation import confirmed
from gram_core.model import answer
from gram_core.puzzles.base import BLANK, Encoded, Symmetry, Tokens
from gram_core.solve import unit_tables
from gram_core.state import LatentState, NoiseKey
from gram_core.views import through, view
from gram_kernels.verify import verify


class Attempt(NamedTuple):
    """One trajectory's outcome."""

    solved_at: int | None
    """Supervision step, from 1, of its first valid answer."""
    num_steps: int
    tokens: Tokens
    """(length,) that answer, or its last one, as posted."""


class Work(NamedTuple):
    """One trajectory to run."""

    instance: int
    trajectory: int


class Swept(NamedTuple):
    """What a sweep came to."""

    attempts: dict[Work, Attempt]
    """Of every trajectory that was not dropped."""
    dropped_steps: Counter[int]
    """Supervision steps of an instance's trajectories that were dropped on their way."""


class Sweep:
    """A batch of rows over one model."""

    def __init__(
        self,
        loaded: LoadedModel,
        encoded: Sequence[Encoded],
        *,
        depth: int,
        seed: int,
        augment: bool,
        num_rows: int,
        is_compiled: bool = False,
    ) -> None:
        """Prepare empty rows.

        Args:
            loaded: the checkpoint.
            encoded: the instances.
            depth: supervision steps of every trajectory.
            seed: of noise and views; the instance's index is added to it.
            augment: use symmetry views.
            num_rows: rows of the batch; all of them are computed in every step.
            is_compiled: compile the step; takes a minute, then runs faster.
        """
        step = loaded.model.supervision_step
        self._advance = torch.compile(step, dynamic=False) if is_compiled else step
        self._loaded, self._encoded = loaded, encoded
        self._depth, self._seed, self._augment = depth, seed, augment
        self._family = puzzles.family(loaded.task.family)
        # Only what ``check`` needs where the units are not all rules.
        self._instances = [
            self._family.instance_of(loaded.task, each)
            for each in (encoded if loaded.task.has_other_rules else ())
        ]
        self._device = loaded.model.z0_high.device
        self._tables = unit_tables(loaded.task).to(self._device)
        config, length = loaded.model.config, loaded.task.length
        zeros = torch.zeros(num_rows, config.num_tokens, config.dim, device=self._device)
        self._state = LatentState(zeros, zeros.clone())
        self._embedding = zeros.clone()
        self._givens = torch.ones(num_rows, length, dtype=torch.int64, device=self._device)
        self._adjacency = (
            torch.zeros(num_rows, length, length, dtype=torch.bool, device=self._device)
            if loaded.task.has_adjacency
            else None
        )
        numbers = torch.zeros(num_rows, dtype=torch.int64, device=self._device)
        self._key = NoiseKey(numbers, numbers.clone(), numbers.clone())
        self._views: list[Symmetry | None] = [None] * num_rows
        self._work: list[Work | None] = [None] * num_rows

    @torch.inference_mode()
    def run(
        self, work: Sequence[Work], *, stop_when_solved: bool, progress: Callable[[int], None]
    ) -> Swept:
        """Run trajectories in order.

        Args:
            work: what to run.
            stop_when_solved: drop the later trajectories of an instance once one has solved it;
                earlier ones go on, so that shares by width are exact.
            progress: told the number of trajectories finished or dropped.
        """
        waiting = deque(work)
        attempts: dict[Work, Attempt] = {}
        solved: dict[int, int] = {}
        dropped: Counter[int] = Counter()
        while True:
            if stop_when_solved:
                dropped += self._drop(solved)
            self._refill(waiting, solved if stop_when_solved else {})
            rows = [row for row, item in enumerate(self._work) if item is not None]
            if not rows:
                return Swept(attempts, dropped)
            for row, attempt in self._step(rows):
                item = self._work[row]
                assert item is not None
                attempts[item] = attempt
                self._work[row] = None
                if attempt.solved_at is not None:
                    earlier = solved.get(item.instance, item.trajectory)
                    solved[item.instance] = min(earlier, item.trajectory)
            progress(len(work) - len(waiting))

    def _drop(self, solved: dict[int, int]) -> Counter[int]:
        dropped: Counter[int] = Counter()
        steps = self._key.step.tolist()
        for row, item in enumerate(self._work):
            if item is not None and _is_needless(item, solved):
                dropped[item.instance] += steps[row]
                self._work[row] = None
        return dropped

    def _refill(self, waiting: deque[Work], solved: dict[int, int]) -> None:
        chosen: list[int] = []
        for row, item in enumerate(self._work):
            while item is None and waiting:
                candidate = waiting.popleft()
                if not _is_needless(candidate, solved):
                    item = self._work[row] = candidate
                    chosen.append(row)
        if chosen:
            self._start(chosen)

    def _start(self, chosen: list[int]) -> None:
        items = [item for row in chosen if (item := self._work[row]) is not None]
        seeds = [self._seed + item.instance for item in items]
        for row, item, seed in zip(chosen, items, seeds, strict=True):
            self._views[row] = (
                view(self._family, self._loaded.task, seed, item.trajectory)
                if self._augment
                else None
            )
        seen = [
            through(self._encoded[item.instance], self._views[row])
            for row, item in zip(chosen, items, strict=True)
        ]
        rows = torch.tensor(chosen, device=self._device)
        givens = torch.as_tensor(np.stack([each.tokens for each in seen]), device=self._device)
        self._givens[rows] = givens.long()
        if self._adjacency is not None:
            graphs = [each.adjacency for each in seen if each.adjacency is not None]
            self._adjacency[rows] = torch.as_tensor(np.stack(graphs), device=self._device)
        self._key.seed[rows] = torch.tensor(seeds, device=self._device)
        numbers = [item.trajectory for item in items]
        self._key.trajectory[rows] = torch.tensor(numbers, device=self._device)
        self._key.step[rows] = 0
        model = self._loaded.model
        fresh = model.initial_state(self._key.seed[rows], self._key.trajectory[rows])
        self._state.high[rows] = fresh.high
        self._state.low[rows] = fresh.low
        self._embedding[rows] = model.encode(givens.long())

    def _step(self, live: list[int]) -> list[tuple[int, Attempt]]:
        """Advance all rows and return those of the live ones that are through."""
        output = self._advance(
            self._state, self._embedding, self._key, self._adjacency, self._givens == BLANK
        )
        self._state.high.copy_(output.state.high)
        self._state.low.copy_(output.state.low)
        self._key.step.add_(1)
        allows_blank = self._loaded.task.allows_blank
        answers = answer(output.logits, self._givens, allows_blank=allows_blank)
        verdict = verify(answers, self._givens, self._tables, adjacency=self._adjacency)
        is_valid = verdict.is_valid
        if self._loaded.task.has_other_rules:
            is_valid = confirmed(is_valid, answers, self._check)
        is_over = (is_valid | (self._key.step >= self._depth)).tolist()
        through = [row for row in live if is_over[row]]
        return self._attempts(through, answers, is_valid) if through else []

    def _check(self, row: int, tokens: Tokens) -> bool:
        item, symmetry = self._work[row], self._views[row]
        if item is None:
            return False
        posted = tokens if symmetry is None else symmetry.invert(tokens)
        return self._family.check(self._instances[item.instance], posted)

    def _attempts(
        self, rows: list[int], answers: Tensor, is_valid: Tensor
    ) -> list[tuple[int, Attempt]]:
        tokens = answers[rows].cpu().numpy().astype(np.uint8)
        steps, valid = self._key.step[rows].tolist(), is_valid[rows].tolist()
        found = []
        for row, seen, step, solved in zip(rows, tokens, steps, valid, strict=True):
            symmetry = self._views[row]
            posted = seen if symmetry is None else symmetry.invert(seen)
            found.append((row, Attempt(step if solved else None, step, posted)))
        return found


def _is_needless(item: Work, solved: dict[int, int]) -> bool:
    """Say whether an earlier trajectory has solved the instance."""
    return item.instance in solved and solved[item.instance] < item.trajectory
