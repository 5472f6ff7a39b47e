"""Trajectories run to one fixed depth, with all that was seen on the way.

Nothing stops early: what verification, halting, votes or values would have chosen is worked out
afterwards. ``sweep`` is the cheaper way where only the first valid answer counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_core.confirmation import confirmed, row_check
from gram_core.model import answer
from gram_core.puzzles.base import BLANK, Encoded, Symmetry, Tokens
from gram_core.solve import unit_tables
from gram_core.state import LatentState, NoiseKey
from gram_core.views import through, view
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


class Answers(NamedTuple):
    """What all trajectories answer at one moment of each."""

    at: NDArray[np.int64]
    """(cases, width) supervision step of the moment, from 1; 0 where it never came."""
    tokens: Tokens
    """(cases, width, length), as posted; of the last step where the moment never came."""
    halt: NDArray[np.float32]
    """(cases, width) logit of halting."""
    value: NDArray[np.float32]
    """(cases, width)."""

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

    def part(self, start: int, stop: int) -> "Rollouts":
        """Return the same for trajectories start to stop - 1 of each case."""
        return Rollouts(
            self.depth,
            self.is_valid[:, start:stop],
            self.first.part(start, stop),
            self.final.part(start, stop),
        )


class Recorder:
    """Runs one model over instances; its step is compiled at most once."""

    def __init__(self, loaded: LoadedModel, running: Running) -> None:
        step = loaded.model.supervision_step
        self._advance = torch.compile(step, dynamic=False) if running.is_compiled else step
        self._loaded, self._running = loaded, running
        self._family = puzzles.family(loaded.task.family)
        self._device = loaded.model.z0_high.device
        self._tables = unit_tables(loaded.task).to(self._device)

    @torch.inference_mode()
    def run(
        self,
        encoded: Sequence[Encoded],
        *,
        width: int,
        depth: int,
        seed: int,
        augment: bool = True,
        progress: Callable[[float], None] = lambda share: None,
    ) -> Rollouts:
        """Run ``width`` trajectories of every instance for ``depth`` steps.

        Args:
            encoded: the instances.
            width: trajectories of each.
            depth: supervision steps of each trajectory.
            seed: of noise and views; the instance's index is added to it.
            augment: let every trajectory but the first look through its own symmetry.
            progress: told the share done.
        """
        pairs = [(case, each) for case in range(len(encoded)) for each in range(width)]
        # Batches of one shape, so that one compiled step fits all; the last one is filled up.
        num_batches = -(-len(pairs) // self._running.num_rows)
        num_rows = -(-len(pairs) // num_batches)
        batches = []
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._running.is_bf16):
            for start in range(0, len(pairs), num_rows):
                chunk = pairs[start : start + num_rows]
                chunk += chunk[-1:] * (num_rows - len(chunk))
                rows = self._rows(encoded, chunk, seed=seed, augment=augment)
                batches.append(self._run(rows, depth))
                progress((start + num_rows) / (num_batches * num_rows))
        return _joined(batches, (len(encoded), width), depth)

    def _rows(
        self,
        encoded: Sequence[Encoded],
        pairs: Sequence[tuple[int, int]],
        *,
        seed: int,
        augment: bool,
    ) -> "_Rows":
        views = [
            view(self._family, self._loaded.task, seed + case, each) if augment else None
            for case, each in pairs
        ]
        seen = [
            through(encoded[case], symmetry)
            for (case, _), symmetry in zip(pairs, views, strict=True)
        ]
        graphs = [each.adjacency for each in seen if each.adjacency is not None]
        numbers = torch.tensor(pairs, device=self._device)
        return _Rows(
            givens=torch.as_tensor(np.stack([each.tokens for each in seen]))
            .to(self._device)
            .long(),
            adjacency=torch.as_tensor(np.stack(graphs)).to(self._device) if graphs else None,
            seed=numbers[:, 0] + seed,
            trajectory=numbers[:, 1],
            views=views,
        )

    def _run(self, rows: "_Rows", depth: int) -> "_Outcome":
        model = self._loaded.model
        embedding = model.encode(rows.givens)
        fresh = model.initial_state(rows.seed, rows.trajectory)
        state = LatentState(fresh.high.contiguous(), fresh.low.contiguous())
        first, final = _Moment(), _Moment()
        valid = []
        task = self._loaded.task
        check = row_check(task, _host(rows.givens)) if task.has_other_rules else None
        for step in range(depth):
            key = NoiseKey(rows.seed, rows.trajectory, torch.full_like(rows.seed, step))
            output = self._advance(state, embedding, key, rows.adjacency, rows.givens == BLANK)
            state = output.state
            tokens = answer(output.logits, rows.givens, allows_blank=task.allows_blank)
            is_valid = verify(tokens, rows.givens, self._tables, adjacency=rows.adjacency).is_valid
            if check is not None:
                is_valid = confirmed(is_valid, tokens, check)
            now = (tokens, output.halt, output.value)
            first.take(is_valid, step + 1, now)
            final.take(torch.full_like(is_valid, step + 1 == depth), step + 1, now)
            valid.append(is_valid)
        moments = [each.answers(rows.views) for each in (first, final)]
        return _Outcome(torch.stack(valid, dim=1).cpu().numpy(), *moments)


def _host(givens: Tensor) -> Tokens:
    return givens.cpu().numpy().astype(np.uint8)


class _Rows(NamedTuple):
    givens: Tensor
    adjacency: Tensor | None
    seed: Tensor
    trajectory: Tensor
    views: list[Symmetry | None]


class _Outcome(NamedTuple):
    """Of one batch, one row each."""

    is_valid: NDArray[np.bool_]
    first: Answers
    final: Answers


class _Moment:
    """Keeps each row's answer of the first step that is marked, or else of the last one."""

    def __init__(self) -> None:
        self._at: Tensor | None = None
        self._kept: tuple[Tensor, Tensor, Tensor] | None = None

    def take(self, is_marked: Tensor, step: int, now: tuple[Tensor, Tensor, Tensor]) -> None:
        if self._at is None or self._kept is None:
            self._at, self._kept = is_marked * step, now
            return
        is_open = self._at == 0
        tokens, halt, value = self._kept
        self._kept = (
            torch.where(is_open[:, None], now[0], tokens),
            torch.where(is_open, now[1], halt),
            torch.where(is_open, now[2], value),
        )
        self._at = torch.where(is_open & is_marked, step, self._at)

    def answers(self, views: Sequence[Symmetry | None]) -> Answers:
        assert self._at is not None
        assert self._kept is not None
        seen, halt, value = (each.cpu() for each in self._kept)
        posted = [
            row if symmetry is None else symmetry.invert(row)
            for symmetry, row in zip(views, seen.numpy().astype(np.uint8), strict=True)
        ]
        return Answers(
            self._at.cpu().numpy(), np.stack(posted), halt.float().numpy(), value.float().numpy()
        )


def _joined(batches: Sequence[_Outcome], shape: tuple[int, int], depth: int) -> Rollouts:
    """Put batches together as (cases, width, ...)."""
    return Rollouts(
        depth,
        _stacked([batch.is_valid for batch in batches], shape),
        _joined_answers([batch.first for batch in batches], shape),
        _joined_answers([batch.final for batch in batches], shape),
    )


def _joined_answers(batches: Sequence[Answers], shape: tuple[int, int]) -> Answers:
    return Answers(
        at=_stacked([batch.at for batch in batches], shape),
        tokens=_stacked([batch.tokens for batch in batches], shape),
        halt=_stacked([batch.halt for batch in batches], shape),
        value=_stacked([batch.value for batch in batches], shape),
    )


Scalar = TypeVar("Scalar", bound=np.generic)


def _stacked(parts: Sequence[NDArray[Scalar]], shape: tuple[int, int]) -> NDArray[Scalar]:
    """Join rows, without those that filled up the last batch."""
    rows = np.concatenate(parts)[: shape[0] * shape[1]]
    return rows.reshape(*shape, *parts[0].shape[1:])
