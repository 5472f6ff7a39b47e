"""Trajectories of a checkpoint, with all that was seen on the way.

Where nothing stops early, what verification, votes or values would have chosen can be worked out
afterwards; where only the first valid answer counts, stopping there is cheaper.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram_core import puzzles
from gram_core.confirmation import confirmed
from gram_core.model import Gram, answer
from gram_core.puzzles import BLANK, Encoded, Symmetry, Task, Tokens
from gram_core.solve import unit_tables
from gram_core.state import LatentState
from gram_core.views import through, view
from gram_kernels.philox import NoiseKey
from gram_kernels.verify import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How trajectories are computed; their figures are the same but for rounding."""

    num_rows: int = 256
    """Rows of a batch."""
    is_bf16: bool = False
    """Run matrix products in bfloat16."""
    is_compiled: bool = False
    """Compile the step; takes a minute, then runs faster."""


EAGER = Running()
Stops = Literal["never", "valid", "solved"]
"""A trajectory stops at its depth only, at its first valid answer, or also where an earlier one of
its instance has solved it."""


class Answers(NamedTuple):
    """What all trajectories answer at one moment of each."""

    at: NDArray[np.int64]
    """(cases, width) supervision step of the moment, from 1; 0 where it never came."""
    tokens: Tokens
    """(cases, width, length), as posted; zeros where the moment never came."""
    halt: NDArray[np.float32]
    """(cases, width) logit of halting."""
    value: NDArray[np.float32]
    """(cases, width)."""

    @classmethod
    def empty(cls, *shape: int) -> "Answers":
        """Return answers of (cases, width, length) that are still to come."""
        some = shape[:2]
        return cls(
            np.zeros(some, np.int64),
            np.zeros(shape, np.uint8),
            np.zeros(some, np.float32),
            np.zeros(some, np.float32),
        )

    def part(self, start: int, stop: int) -> "Answers":
        """Return the same for trajectories start to stop - 1 of each case."""
        some = slice(start, stop)
        return Answers(
            self.at[:, some], self.tokens[:, some], self.halt[:, some], self.value[:, some]
        )


class Rollouts(NamedTuple):
    """What ``width`` trajectories of each case came to."""

    depth: int
    is_valid: NDArray[np.bool_]
    """(cases, width, depth) whether the answer after each supervision step verifies."""
    first: Answers
    """The first answers that verify."""
    final: Answers
    """The answers after the last step."""
    num_steps: NDArray[np.int64]
    """(cases, width) steps that were taken."""

    @classmethod
    def empty(cls, num_cases: int, width: int, depth: int, length: int) -> "Rollouts":
        """Return rollouts that are still to be made."""
        shape = (num_cases, width)
        return cls(
            depth,
            np.zeros((*shape, depth), bool),
            Answers.empty(*shape, length),
            Answers.empty(*shape, length),
            np.zeros(shape, np.int64),
        )

    def part(self, start: int, stop: int) -> "Rollouts":
        """Return the same for trajectories start to stop - 1 of each case."""
        return Rollouts(
            self.depth,
            self.is_valid[:, start:stop],
            self.first.part(start, stop),
            self.final.part(start, stop),
            self.num_steps[:, start:stop],
        )


class Recorder:
    """Runs one model over instances; its step is compiled at most once.

    Offline only: the server's engine is another thing, with jobs, fairness and deadlines.
    """

    def __init__(self, model: Gram, task: Task, running: Running = EAGER) -> None:
        step = model.supervision_step
        self.advance = torch.compile(step, dynamic=False) if running.is_compiled else step
        self.model, self.task, self.running = model, task, running
        self.family = puzzles.family(task.family)
        self.device = model.z0_high.device
        self.tables = unit_tables(task).to(self.device)

    @torch.inference_mode()
    def run(
        self,
        encoded: Sequence[Encoded],
        *,
        width: int,
        depth: int,
        seed: int,
        augment: bool = True,
        stops: Stops = "never",
        progress: Callable[[float], None] = lambda share: None,
    ) -> Rollouts:
        """Run ``width`` trajectories of every instance for at most ``depth`` steps.

        Args:
            encoded: the instances.
            width: trajectories of each.
            depth: supervision steps of each trajectory.
            seed: of noise and views; the instance's index is added to it.
            augment: let every trajectory but the first look through its own symmetry.
            stops: when a trajectory stops before that depth.
            progress: told the share done.
        """
        rows = _Rows(self, encoded, width=width, depth=depth, seed=seed, augment=augment)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.running.is_bf16):
            while rows.refill(stops):
                rows.step(stops)
                progress(1.0 - rows.num_waiting / (width * len(encoded)))
        return rows.found


class _Rows:
    """A full batch, each row at a step of its own; one that leaves takes the next trajectory.

    Of one shape throughout, so that one compiled step fits all.
    """

    def __init__(
        self,
        recorder: Recorder,
        encoded: Sequence[Encoded],
        *,
        width: int,
        depth: int,
        seed: int,
        augment: bool,
    ) -> None:
        self._recorder, self._encoded, self._depth = recorder, encoded, depth
        self._seed, self._augment = seed, augment
        task, config, device = recorder.task, recorder.model.config, recorder.device
        num_rows = min(recorder.running.num_rows, width * len(encoded))
        # Only what ``check`` needs where the units are not all rules.
        self._instances = [
            recorder.family.instance_of(task, each)
            for each in (encoded if task.has_other_rules else ())
        ]
        zeros = torch.zeros(num_rows, config.num_tokens, config.dim, device=device)
        numbers = torch.zeros(num_rows, dtype=torch.int64, device=device)
        self._state, self._embedding = LatentState(zeros, zeros.clone()), zeros.clone()
        self._givens = torch.ones(num_rows, task.length, dtype=torch.int64, device=device)
        self._adjacency = (
            torch.zeros(num_rows, task.length, task.length, dtype=torch.bool, device=device)
            if task.has_adjacency
            else None
        )
        self._key = NoiseKey(numbers, numbers.clone(), numbers.clone())
        self._views: list[Symmetry | None] = [None] * num_rows
        self._work: list[tuple[int, int] | None] = [None] * num_rows
        # The first trajectories of all instances run before any second one, so that fewer are
        # started than needed where one solution is enough.
        self._waiting = deque(
            (case, trajectory) for trajectory in range(width) for case in range(len(encoded))
        )
        self._solved: dict[int, int] = {}
        self.found = Rollouts.empty(len(encoded), width, depth, task.length)

    @property
    def num_waiting(self) -> int:
        """Trajectories that have not begun."""
        return len(self._waiting)

    def refill(self, stops: Stops) -> bool:
        """Let free rows take the next trajectories; say whether any row is live."""
        chosen: list[int] = []
        for row, item in enumerate(self._work):
            if item is not None and stops == "solved" and self._is_needless(item):
                item = self._work[row] = None
            while item is None and self._waiting:
                candidate = self._waiting.popleft()
                if stops != "solved" or not self._is_needless(candidate):
                    item = self._work[row] = candidate
                    chosen.append(row)
        if chosen:
            self._start(chosen)
        return any(item is not None for item in self._work)

    def _is_needless(self, item: tuple[int, int]) -> bool:
        """Say whether an earlier trajectory has solved the instance.

        Earlier ones go on, so that shares by width are exact.
        """
        return self._solved.get(item[0], item[1]) < item[1]

    def _start(self, chosen: list[int]) -> None:
        recorder = self._recorder
        items = [item for row in chosen if (item := self._work[row]) is not None]
        for row, (case, trajectory) in zip(chosen, items, strict=True):
            self._views[row] = (
                view(recorder.family, recorder.task, self._seed + case, trajectory)
                if self._augment
                else None
            )
        seen = [
            through(self._encoded[case], self._views[row])
            for row, (case, _) in zip(chosen, items, strict=True)
        ]
        rows = torch.tensor(chosen, device=recorder.device)
        givens = torch.as_tensor(np.stack([each.tokens for each in seen]), device=recorder.device)
        self._givens[rows] = givens.long()
        if self._adjacency is not None:
            graphs = [each.adjacency for each in seen if each.adjacency is not None]
            self._adjacency[rows] = torch.as_tensor(np.stack(graphs), device=recorder.device)
        numbers = torch.tensor(items, device=recorder.device)
        self._key.seed[rows] = numbers[:, 0] + self._seed
        self._key.trajectory[rows] = numbers[:, 1]
        self._key.step[rows] = 0
        fresh = recorder.model.initial_state(self._key.seed[rows], self._key.trajectory[rows])
        self._state.high[rows], self._state.low[rows] = fresh.high, fresh.low
        self._embedding[rows] = recorder.model.encode(givens.long())

    def step(self, stops: Stops) -> None:
        """Advance all rows, and take down the answers that are wanted."""
        recorder, task = self._recorder, self._recorder.task
        output = recorder.advance(
            self._state, self._embedding, self._key, self._adjacency, self._givens == BLANK
        )
        self._state.high.copy_(output.state.high)
        self._state.low.copy_(output.state.low)
        self._key.step.add_(1)
        tokens = answer(output.logits, self._givens, allows_blank=task.allows_blank)
        verdict = verify(tokens, self._givens, recorder.tables, adjacency=self._adjacency)
        is_valid = verdict.is_valid
        if task.has_other_rules:
            is_valid = confirmed(is_valid, tokens, self._check)
        now = _Answers(tokens, output.halt, output.value)
        self._take_down(now, is_valid.tolist(), self._key.step.tolist(), stops)

    def _take_down(
        self, now: "_Answers", is_valid: list[bool], steps: list[int], stops: Stops
    ) -> None:
        found = self.found
        wanted: list[tuple[int, Answers]] = []
        for row, item in enumerate(self._work):
            if item is None:
                continue
            found.num_steps[item] = steps[row]
            found.is_valid[(*item, steps[row] - 1)] = is_valid[row]
            if is_valid[row] and not found.first.at[item]:
                wanted.append((row, found.first))
                self._solved[item[0]] = min(item[1], self._solved.get(item[0], item[1]))
            if steps[row] == self._depth or (is_valid[row] and stops != "never"):
                wanted.append((row, found.final))
        self._keep(now, wanted, steps)
        for row, moment in wanted:
            if moment is found.final:
                self._work[row] = None

    def _keep(
        self, now: "_Answers", wanted: Sequence[tuple[int, Answers]], steps: list[int]
    ) -> None:
        """Copy the answers of some rows, as posted, to where they are wanted."""
        if not wanted:
            return
        rows = [row for row, _ in wanted]
        tokens = now.tokens[rows].cpu().numpy().astype(np.uint8)
        halts, values = (each[rows].float().tolist() for each in (now.halt, now.value))
        for (row, moment), seen, halt, value in zip(wanted, tokens, halts, values, strict=True):
            item, symmetry = self._work[row], self._views[row]
            assert item is not None
            moment.at[item] = steps[row]
            moment.tokens[item] = seen if symmetry is None else symmetry.invert(seen)
            moment.halt[item], moment.value[item] = halt, value

    def _check(self, row: int, tokens: Tokens) -> bool:
        item, symmetry = self._work[row], self._views[row]
        if item is None:
            return False
        posted = tokens if symmetry is None else symmetry.invert(tokens)
        return self._recorder.family.check(self._instances[item[0]], posted)


class _Answers(NamedTuple):
    """What all rows answer after one step, on the device."""

    tokens: Tensor
    halt: Tensor
    value: Tensor
