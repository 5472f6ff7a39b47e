"""Records trajectories of a checkpoint, by the step that the server runs.

Where nothing stops early, choices by verification, votes or values can be computed afterwards;
where only the first valid answer counts, stopping there is cheaper. The server's engine is
separate: it adds jobs, fairness and deadlines.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.bound_step import PRODUCTS, BoundStep, RunnerBackend, bind_step, step_backend
from gram_core.model import Gram
from gram_core.puzzles import Encoded, Symmetry, Task, Tokens
from gram_core.trajectories import SETTLED_STEPS, start_delay
from gram_kernels.slots import Starts
from gram_kernels.tokens import NUM_FACTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How trajectories are computed; figures differ by rounding only."""

    num_rows: int = 256
    """Rows of a batch."""
    precision: str = "fp32"
    """Of matrix products, one of ``PRODUCTS``."""
    backend: RunnerBackend | None = None
    """Of the step; None for the one that the server would choose."""


DEFAULT = Running()
Stops = Literal["never", "valid", "settled", "solved", "first"]
"""When a trajectory stops before its depth: ``never``; at its first ``valid`` answer; when it has
``settled``; where another one has ``solved`` its instance earlier, by index and in the server's
order; where the ``first`` of any has."""


class Answers(NamedTuple):
    """Answers of all trajectories, each at one step."""

    at: NDArray[np.int64]
    """(cases, width) supervision step, from 1; 0 where there was none."""
    tokens: Tokens
    """(cases, width, length), as posted; zeros where there was none."""
    value: NDArray[np.float32]
    """(cases, width)."""

    @classmethod
    def empty(cls, num_cases: int, width: int, length: int) -> "Answers":
        shape = (num_cases, width)
        tokens = np.zeros((*shape, length), np.uint8)
        return cls(np.zeros(shape, np.int64), tokens, np.zeros(shape, np.float32))

    def part(self, some: slice) -> "Answers":
        return Answers(self.at[:, some], self.tokens[:, some], self.value[:, some])


class Rollouts(NamedTuple):
    """Results of the trajectories of each case."""

    depth: int
    is_valid: NDArray[np.bool_]
    """(cases, width, depth) whether the answer after each supervision step verifies."""
    first: Answers
    """The first answers that verify."""
    settled: Answers
    """The answers of trajectories when they settled first; see ``SETTLED_STEPS``."""
    final: Answers
    """The answers after the last step."""
    num_steps: NDArray[np.int64]
    """(cases, width) steps that were taken."""

    @classmethod
    def empty(cls, num_cases: int, width: int, depth: int, length: int) -> "Rollouts":
        first, settled, final = (Answers.empty(num_cases, width, length) for _ in range(3))
        is_valid = np.zeros((num_cases, width, depth), bool)
        num_steps = np.zeros((num_cases, width), np.int64)
        return cls(depth, is_valid, first, settled, final, num_steps)

    def part(self, start: int, stop: int) -> "Rollouts":
        some = slice(start, stop)
        return self._replace(
            is_valid=self.is_valid[:, some],
            first=self.first.part(some),
            settled=self.settled.part(some),
            final=self.final.part(some),
            num_steps=self.num_steps[:, some],
        )

    def served_steps(self) -> NDArray[np.int64]:
        """Return (cases,) steps that the server takes to one solution, in its own order of starts.

        Independent of how the rows were scheduled here. Needs trajectories that stopped no earlier
        than ``solved`` lets them.
        """
        delays = np.array([start_delay(index) for index in range(self.first.at.shape[1])])
        has_solved = self.first.at > 0
        ends = np.where(has_solved, self.first.at, self.depth)
        never = self.depth + delays.max() + 1
        stop = np.where(has_solved, delays + ends, never).min(axis=1, keepdims=True)
        return np.asarray(np.clip(stop - delays, 0, ends).sum(axis=1))


class Recorder:
    """Runs one model, whose weights stay as they are, over instances."""

    def __init__(self, model: Gram, task: Task, running: Running = DEFAULT) -> None:
        self.model, self.task, self.running = model, task, running
        self.family = puzzles.family(task.family)
        self._bound: BoundStep | None = None

    def bound(self, num_rows: int) -> BoundStep:
        """Return the step bound to so many rows or more; weights are packed again only for more."""
        if self._bound is None or len(self._bound.rows.high) < num_rows:
            self._bound = bind_step(
                self.model,
                self.task,
                backend=self.running.backend or step_backend(self.model, self.task),
                num_slots=num_rows,
                num_rows=num_rows,
                fixed_shape=False,
                dtype=PRODUCTS[self.running.precision],
            )
        return self._bound

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
        found = Rollouts.empty(count, max(widths), depth, self.task.length)
        record = _Record(found, stops)
        num_rows = min(self.running.num_rows, sum(widths))
        rows = _Rows(self, encoded, seeds, num_rows=num_rows, augment=augment)
        # The first trajectories of all instances run before any second one, so that fewer are
        # started than needed where one solution is enough.
        waiting = deque(
            _Live(case, trajectory)
            for trajectory in range(max(widths))
            for case, width in enumerate(widths)
            if trajectory < width
        )
        while rows.refill(waiting, record):
            rows.step(record)
            progress(1.0 - len(waiting) / sum(widths))
        return found


@dataclass(slots=True, eq=False)
class _Live:
    """A trajectory on its way."""

    case: int
    trajectory: int
    symmetry: Symmetry | None = None
    steps: int = 0
    answer: bytes = b""
    """The last answer, and over how many steps it has stayed the same."""
    num_same: int = 0
    is_over: bool = False

    def posted(self, seen: Tokens) -> Tokens:
        """Return an answer, as the trajectory sees it, as the user does."""
        return seen if self.symmetry is None else self.symmetry.invert(seen)


class _Record:
    """Writes what happens at every step, and decides who goes on."""

    def __init__(self, found: Rollouts, stops: Stops) -> None:
        self._found, self._stops = found, stops
        self._solved: dict[int, tuple[int, int]] = {}
        """By case: the first trajectory that solved it, and the earliest virtual step."""

    def is_needless(self, live: _Live) -> bool:
        if live.case not in self._solved:
            return False
        index, virtual_step = self._solved[live.case]
        if self._stops == "first":
            return True
        # Trajectories before the solving one go on, so that shares by width are exact; so do those
        # that the server may still let solve it first.
        is_late = start_delay(live.trajectory) + live.steps >= virtual_step
        return self._stops == "solved" and live.trajectory > index and is_late

    def note(self, live: _Live, seen: Tokens, *, is_valid: bool, value: float) -> None:
        """Record the answer of a trajectory's last step, as it sees it."""
        found, place = self._found, (live.case, live.trajectory)
        live.steps += 1
        found.num_steps[place] = live.steps
        found.is_valid[(*place, live.steps - 1)] = is_valid
        live.num_same = live.num_same + 1 if live.answer == seen.tobytes() else 0
        live.answer = seen.tobytes()
        has_settled = live.num_same >= SETTLED_STEPS
        stops_here = {"never": False, "settled": has_settled}.get(self._stops, is_valid)
        live.is_over = live.steps == found.depth or stops_here
        kept = (
            (found.first, is_valid and not found.first.at[place]),
            (found.settled, has_settled and not found.settled.at[place]),
            (found.final, live.is_over),
        )
        for moment in (moment for moment, is_wanted in kept if is_wanted):
            moment.at[place] = live.steps
            moment.tokens[place], moment.value[place] = live.posted(seen), value
        if is_valid and found.first.at[place] == live.steps:
            time = start_delay(live.trajectory) + live.steps
            index, virtual_step = self._solved.get(live.case, (live.trajectory, time))
            self._solved[live.case] = (min(index, live.trajectory), min(virtual_step, time))


class _Rows:
    """Rows of a bound step; the live ones come first, and a free one takes the next trajectory."""

    def __init__(
        self,
        recorder: Recorder,
        encoded: Sequence[Encoded],
        seeds: Sequence[int],
        *,
        num_rows: int,
        augment: bool,
    ) -> None:
        self._recorder, self._encoded = recorder, encoded
        self._seeds, self._augment = seeds, augment
        task = recorder.task
        # For the rules that the device verifier does not know.
        checked = encoded if task.has_other_rules else ()
        self._instances = [recorder.family.instance_of(task, each) for each in checked]
        self._views = lru_cache(2 * num_rows)(partial(recorder.family.views, task))
        self._bound = recorder.bound(num_rows)
        self._live: list[_Live] = []
        self._num_rows = num_rows

    def refill(self, waiting: deque[_Live], record: _Record) -> bool:
        """Start waiting trajectories in free rows; return whether any row is live."""
        goes_on = [not live.is_over and not record.is_needless(live) for live in self._live]
        self._keep(np.flatnonzero(goes_on).tolist())
        first = len(self._live)
        while waiting and len(self._live) < self._num_rows:
            live = waiting.popleft()
            if not record.is_needless(live):
                self._live.append(live)
        if len(self._live) > first:
            self._start(first)
        return bool(self._live)

    def _keep(self, kept: Sequence[int]) -> None:
        """Drop all rows but some, which become the first ones: the last ones fill the gaps."""
        count = len(kept)
        gaps = sorted(set(range(count)).difference(kept))
        sources = [row for row in kept if row >= count]
        for source, target in zip(sources, gaps, strict=True):
            self._live[target] = self._live[source]
        del self._live[count:]
        if gaps:
            moves = torch.tensor([sources, gaps], device=self._bound.rows.high.device)
            self._bound.moves.compact(moves[0], moves[1])

    def _start(self, first: int) -> None:
        """Start the trajectories from a row on."""
        started = self._live[first:]
        for live in started:
            if self._augment:
                live.symmetry = self._views(self._seeds[live.case])(live.trajectory)
        seen = [self._encoded[live.case].through(live.symmetry) for live in started]
        graphs = [each.adjacency for each in seen if each.adjacency is not None]
        device = self._bound.rows.high.device
        givens = torch.from_numpy(np.stack([each.tokens for each in seen]).astype(np.int32))
        self._bound.moves.admit(
            Starts(
                rows=torch.arange(first, len(self._live), device=device),
                givens=givens.to(device),
                seeds=torch.tensor([self._seeds[live.case] for live in started], device=device),
                trajectories=torch.tensor([live.trajectory for live in started], device=device),
                adjacency=torch.from_numpy(np.stack(graphs)).to(device) if graphs else None,
            )
        )

    def step(self, record: _Record) -> None:
        """Advance all live rows, and record their answers."""
        rows, count = self._bound.rows, len(self._live)
        rows.num_live.fill_(count)
        self._bound.advance(next(size for size in self._bound.buckets if size >= count))
        facts = rows.facts[:count].cpu().numpy()
        answers = facts[:, NUM_FACTS:].astype(np.uint8)
        values = np.ascontiguousarray(facts[:, 4]).view(np.float32)
        check = self._recorder.family.check
        for row, live in enumerate(self._live):
            seen, is_valid = answers[row], bool(facts[row, 0])
            if is_valid and self._instances:
                is_valid = check(self._instances[live.case], live.posted(seen))
            record.note(live, seen, is_valid=is_valid, value=float(values[row]))
