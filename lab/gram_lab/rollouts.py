"""Records trajectories of a checkpoint: the one loop of training, evaluation and benches.

Where nothing stops early, choices by verification, votes or values can be computed afterwards;
where only the first valid answer counts, stopping there is cheaper. The server's engine is
separate: it adds jobs, fairness and deadlines.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.model import Gram, answer
from gram_core.puzzles import BLANK, Encoded, Symmetry, Task, Tokens
from gram_core.solve import confirmed, unit_tables
from gram_core.state import LatentState, StepOutput
from gram_core.views import through, view
from gram_kernels.philox import NoiseKey
from gram_kernels.verify import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How trajectories are computed; figures differ by rounding only."""

    num_rows: int = 256
    """Rows of a batch."""
    is_bf16: bool = False
    """Run matrix products in bfloat16."""
    is_compiled: bool = False
    """Compile the step; takes a minute, then runs faster."""


EAGER = Running()
Stops = Literal["never", "valid", "solved", "first"]
"""When a trajectory stops before its depth: ``never``; at its first ``valid`` answer; also where an
earlier one has ``solved`` its instance; where the ``first`` of any has."""


class Answers(NamedTuple):
    """Answers of all trajectories, each at one step."""

    at: NDArray[np.int64]
    """(cases, width) supervision step, from 1; 0 where there was none."""
    tokens: Tokens
    """(cases, width, length), as posted; zeros where there was none."""
    halt: NDArray[np.float32]
    """(cases, width) logit of halting."""
    value: NDArray[np.float32]
    """(cases, width)."""

    @classmethod
    def empty(cls, num_cases: int, width: int, length: int) -> "Answers":
        shape = (num_cases, width)
        halt, value = np.zeros((2, *shape), np.float32)
        return cls(np.zeros(shape, np.int64), np.zeros((*shape, length), np.uint8), halt, value)

    def part(self, some: slice) -> "Answers":
        return Answers(
            self.at[:, some], self.tokens[:, some], self.halt[:, some], self.value[:, some]
        )


class Rollouts(NamedTuple):
    """Results of the trajectories of each case."""

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
        first, final = (Answers.empty(num_cases, width, length) for _ in range(2))
        is_valid = np.zeros((num_cases, width, depth), bool)
        return cls(depth, is_valid, first, final, np.zeros((num_cases, width), np.int64))

    def part(self, start: int, stop: int) -> "Rollouts":
        some = slice(start, stop)
        return Rollouts(
            self.depth,
            self.is_valid[:, some],
            self.first.part(some),
            self.final.part(some),
            self.num_steps[:, some],
        )


class Recorder:
    """Runs one model over instances; its step is compiled at most once."""

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
        width: int | Sequence[int],
        depth: int,
        seed: int | Sequence[int],
        augment: bool = True,
        stops: Stops = "never",
        progress: Callable[[float], None] = lambda share: None,
    ) -> Rollouts:
        """Run trajectories of every instance for at most ``depth`` steps.

        ``width`` and ``seed`` are given per instance, or one for all; a single seed counts up from
        the first instance. With ``augment`` every trajectory but the first has its own symmetry
        view. ``progress`` receives the share done.
        """
        count = len(encoded)
        widths = [width] * count if isinstance(width, int) else list(width)
        seeds = list(range(seed, seed + count)) if isinstance(seed, int) else list(seed)
        rows = _Rows(self, encoded, widths, seeds, depth=depth, augment=augment, stops=stops)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.running.is_bf16):
            while rows.refill():
                rows.step()
                progress(1.0 - rows.num_waiting / sum(widths))
        return rows.found


class _Rows:
    """A batch of rows at different steps; a finished row takes the next trajectory.

    Its shape is constant, so that one compiled step fits all.
    """

    def __init__(
        self,
        recorder: Recorder,
        encoded: Sequence[Encoded],
        widths: Sequence[int],
        seeds: Sequence[int],
        *,
        depth: int,
        augment: bool,
        stops: Stops,
    ) -> None:
        self._recorder, self._encoded, self._seeds = recorder, encoded, seeds
        self._depth, self._augment, self._stops = depth, augment, stops
        task, config, device = recorder.task, recorder.model.config, recorder.device
        num_rows = min(recorder.running.num_rows, sum(widths))
        # ``check`` needs them only where the units are not all rules.
        checked = encoded if task.has_other_rules else ()
        self._instances = [recorder.family.instance_of(task, each) for each in checked]
        shape = (num_rows, config.num_tokens, config.dim)
        high, low, self._embedding = torch.zeros(3, *shape, device=device).unbind(0)
        self._state = LatentState(high, low)
        numbers = torch.zeros(3, num_rows, dtype=torch.int64, device=device)
        self._key = NoiseKey(*numbers.unbind(0))
        self._givens = torch.ones(num_rows, task.length, dtype=torch.int64, device=device)
        self._adjacency = None
        if task.has_adjacency:
            self._adjacency = self._givens.new_zeros(num_rows, task.length, task.length).bool()
        self._views: list[Symmetry | None] = [None] * num_rows
        self._work: list[tuple[int, int] | None] = [None] * num_rows
        # The first trajectories of all instances run before any second one, so that fewer are
        # started than needed where one solution is enough.
        self._waiting = deque(
            (case, trajectory)
            for trajectory in range(max(widths))
            for case, width in enumerate(widths)
            if trajectory < width
        )
        self._solved: dict[int, int] = {}
        self.found = Rollouts.empty(len(encoded), max(widths), depth, task.length)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def refill(self) -> bool:
        """Let free rows take the next trajectories; return whether any row is live."""
        chosen: list[int] = []
        for row, item in enumerate(self._work):
            if item is not None and self._is_needless(item):
                item = self._work[row] = None
            while item is None and self._waiting:
                candidate = self._waiting.popleft()
                if not self._is_needless(candidate):
                    item = self._work[row] = candidate
                    chosen.append(row)
        if chosen:
            self._start(chosen)
        return any(item is not None for item in self._work)

    def _is_needless(self, item: tuple[int, int]) -> bool:
        case, trajectory = item
        if self._stops == "first":
            return case in self._solved
        # Trajectories before the solving one go on, so that shares by width are exact.
        return self._stops == "solved" and self._solved.get(case, trajectory) < trajectory

    def _start(self, chosen: list[int]) -> None:
        recorder, key = self._recorder, self._key
        items = [item for row in chosen if (item := self._work[row]) is not None]
        seen: list[Encoded] = []
        for row, (case, trajectory) in zip(chosen, items, strict=True):
            self._views[row] = (
                view(recorder.family, recorder.task, self._seeds[case], trajectory)
                if self._augment
                else None
            )
            seen.append(through(self._encoded[case], self._views[row]))
        rows = torch.tensor(chosen, device=recorder.device)
        givens = torch.as_tensor(np.stack([each.tokens for each in seen]), device=recorder.device)
        self._givens[rows] = givens.long()
        if self._adjacency is not None:
            graphs = [each.adjacency for each in seen if each.adjacency is not None]
            self._adjacency[rows] = torch.as_tensor(np.stack(graphs), device=recorder.device)
        key.seed[rows] = torch.tensor([self._seeds[case] for case, _ in items]).to(rows)
        key.trajectory[rows] = torch.tensor([trajectory for _, trajectory in items]).to(rows)
        key.step[rows] = 0
        fresh = recorder.model.initial_state(key.seed[rows], key.trajectory[rows])
        self._state.high[rows], self._state.low[rows] = fresh.high, fresh.low
        self._embedding[rows] = recorder.model.encode(givens.long())

    def step(self) -> None:
        recorder, task = self._recorder, self._recorder.task
        output = recorder.advance(
            self._state, self._embedding, self._key, self._adjacency, self._givens == BLANK
        )
        self._state.high.copy_(output.state.high)
        self._state.low.copy_(output.state.low)
        self._key.step.add_(1)
        tokens = answer(output.logits, self._givens, allows_blank=task.allows_blank)
        is_valid = verify(tokens, self._givens, recorder.tables, adjacency=self._adjacency).is_valid
        if task.has_other_rules:
            is_valid = confirmed(is_valid, tokens, self._check)
        wanted = self._record(is_valid.tolist(), self._key.step.tolist())
        if wanted:
            self._keep(wanted, tokens, output)

    def _record(self, is_valid: list[bool], steps: list[int]) -> list[tuple[int, Answers]]:
        """Record every row; return the rows whose answers to keep, and where."""
        found = self.found
        wanted: list[tuple[int, Answers]] = []
        for row, item in enumerate(self._work):
            if item is None:
                continue
            found.num_steps[item] = steps[row]
            found.is_valid[(*item, steps[row] - 1)] = is_valid[row]
            if is_valid[row] and not found.first.at[item]:
                found.first.at[item] = steps[row]
                wanted.append((row, found.first))
                self._solved[item[0]] = min(item[1], self._solved.get(item[0], item[1]))
            if steps[row] == self._depth or (is_valid[row] and self._stops != "never"):
                found.final.at[item] = steps[row]
                wanted.append((row, found.final))
        return wanted

    def _keep(
        self, wanted: Sequence[tuple[int, Answers]], tokens: torch.Tensor, output: StepOutput
    ) -> None:
        """Copy the answers of some rows, as posted, to their places."""
        rows = [row for row, _ in wanted]
        answers = tokens[rows].cpu().numpy().astype(np.uint8)
        halts, values = (each[rows].float().tolist() for each in (output.halt, output.value))
        for (row, moment), seen, halt, value in zip(wanted, answers, halts, values, strict=True):
            item = self._work[row]
            assert item is not None
            moment.tokens[item] = self._as_posted(row, seen)
            moment.halt[item], moment.value[item] = halt, value
        for row, moment in wanted:
            if moment is self.found.final:
                self._work[row] = None

    def _as_posted(self, row: int, tokens: Tokens) -> Tokens:
        symmetry = self._views[row]
        return tokens if symmetry is None else symmetry.invert(tokens)

    def _check(self, row: int, tokens: Tokens) -> bool:
        item = self._work[row]
        if item is None:
            return False
        return self._recorder.family.check(self._instances[item[0]], self._as_posted(row, tokens))
