"""The running trajectories of a training batch: their steps and final results.

Rows start staggered, so that every update sees all supervision steps; a row whose trajectory has
ended, or has just found a solution, takes a fresh puzzle. Knows no gradient.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram_core.model import Gram, LatentState
from gram_core.puzzles import BLANK, FIRST_VALUE
from gram_lab.data.examples import Source
from gram_lab.train.empty_boards import EmptyBoards
from gram_lab.train.losses import Learns, Rows

Flags = NDArray[np.bool_]


class Ended(NamedTuple):
    """Results of the trajectories that ended in one update."""

    num_prior: int
    num_prior_solved: int
    num_posterior: int
    num_posterior_solved: int
    summaries: Tensor
    """(steps, dim) readouts of all steps of the ended prior trajectories."""
    is_exact: Tensor
    """(steps,)."""
    accuracy: Tensor
    """(steps,) final accuracy of the step's trajectory."""


class Rollout:
    """A batch of trajectories under training."""

    def __init__(
        self,
        model: Gram,
        source: Source,
        *,
        num_rows: int,
        num_siblings: int,
        learns: Learns,
        prior_share: float,
        rng: np.random.Generator,
    ) -> None:
        """Fill every row; siblings, neighbouring rows, share a puzzle and its schedule."""
        self._model, self._source, self._rng = model, source, rng
        self._num_siblings, self._learns, self._prior_share = num_siblings, learns, prior_share
        config, task = model.config, source.task
        self.device = model.z0_high.device
        shape = (num_rows, config.num_tokens, config.dim)
        self.state = LatentState(*torch.zeros(2, *shape, device=self.device).unbind(0))
        self.rows = Rows(
            givens=self._zeros(num_rows, task.length),
            targets=self._zeros(num_rows, source.max_targets, task.length),
            is_prior=torch.zeros(num_rows, dtype=torch.bool, device=self.device),
            adjacency=(
                self._zeros(num_rows, task.length, task.length).bool()
                if task.has_adjacency
                else None
            ),
        )
        self.step = np.zeros(num_rows, dtype=np.int64)
        self._summaries = torch.zeros(num_rows, 0, config.dim, device=self.device)
        self._was_exact = np.zeros((num_rows, 0), dtype=bool)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int64, device=self.device)

    def start(self, num_steps: int, progress: float) -> None:
        """Give every row a puzzle and a staggered step of its trajectory."""
        groups = np.arange(len(self.step)) // self._num_siblings
        self._grow(num_steps)
        self._refill(np.ones(len(self.step), dtype=bool), progress)
        self.step = (groups * num_steps // (groups[-1] + 1)) % num_steps

    def advance(
        self,
        state: LatentState,
        logits: Tensor,
        summary: Tensor,
        *,
        num_steps: int,
        progress: float,
    ) -> Ended:
        """Apply one supervision step; score and replace the rows that have ended."""
        self._grow(num_steps)
        self._follow(logits)
        is_exact, accuracy = self._score(logits)
        rows = torch.arange(len(self.step), device=self.device)
        self._summaries[rows, torch.as_tensor(self.step, device=self.device)] = summary.float()
        self._was_exact[rows.cpu().numpy(), self.step] = is_exact
        self.step += 1
        # Half of the fresh solutions stay, so that the model learns to hold one.
        leaves = is_exact & (self._rng.random(len(is_exact)) < 0.5)
        is_over = self._together((self.step >= num_steps) | leaves)
        ended = self._ended(is_over, is_exact, accuracy)
        self.state = state
        self._refill(is_over, progress)
        return ended

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for ``restore``, by name."""
        found = {
            "high": self.state.high,
            "low": self.state.low,
            "givens": self.rows.givens,
            "targets": self.rows.targets,
            "is_prior": self.rows.is_prior,
            "step": torch.as_tensor(self.step),
            "summaries": self._summaries,
            "was_exact": torch.as_tensor(self._was_exact),
        }
        if self.rows.adjacency is not None:
            found["adjacency"] = self.rows.adjacency
        return found

    def restore(self, found: dict[str, Tensor]) -> None:
        on_device = {name: tensor.to(self.device) for name, tensor in found.items()}
        self.state = LatentState(on_device["high"], on_device["low"])
        self.rows = Rows(
            givens=on_device["givens"],
            targets=on_device["targets"],
            is_prior=on_device["is_prior"],
            adjacency=on_device.get("adjacency"),
        )
        self._summaries = on_device["summaries"]
        self.step = found["step"].cpu().numpy().copy()
        self._was_exact = found["was_exact"].cpu().numpy().copy()

    def _grow(self, num_steps: int) -> None:
        missing = num_steps - self._summaries.shape[1]
        if missing > 0:
            more = self._summaries.new_zeros(len(self.step), missing, self._summaries.shape[2])
            self._summaries = torch.cat((self._summaries, more), dim=1)
            self._was_exact = np.pad(self._was_exact, ((0, 0), (0, missing)))

    def _follow(self, logits: Tensor) -> None:
        """Set the targets that depend on the trajectories' own answers."""
        if not isinstance(self._source, EmptyBoards):
            return
        chosen = np.flatnonzero(np.isin(self.step + 1, list(self._source.followed_steps)))
        if not len(chosen):
            return
        rows = torch.as_tensor(chosen, device=self.device)
        scores = torch.log_softmax(logits[rows].float()[..., FIRST_VALUE:], dim=-1).cpu().numpy()
        targets = self._source.follow(scores)
        self.rows.targets[rows, 0] = torch.as_tensor(targets, device=self.device).long()

    def _together(self, is_over: Flags) -> Flags:
        """Siblings end together: with the first that ends if they compete, else with the last."""
        groups = is_over.reshape(-1, self._num_siblings)
        ends = groups.any(axis=1) if self._learns == "best" else groups.all(axis=1)
        return np.repeat(ends, self._num_siblings)

    def _score(self, logits: Tensor) -> tuple[Flags, Tensor]:
        """Return which answers are solutions, and each one's share of unknown cells right."""
        answers = logits[..., BLANK:].argmax(dim=-1) + BLANK  # (batch, length)
        is_unknown = (self.rows.givens == BLANK)[:, None]
        is_right = (answers[:, None] == self.rows.targets) & is_unknown
        share = is_right.sum(dim=2) / is_unknown.sum(dim=2).clamp(min=1)  # (batch, targets)
        best = share.max(dim=1).values
        return (best >= 1.0).cpu().numpy(), best

    def _ended(
        self,
        is_over: Flags,
        is_exact: Flags,
        accuracy: Tensor,
    ) -> Ended:
        is_prior = self.rows.is_prior.cpu().numpy()
        chosen = np.flatnonzero(is_over & is_prior)
        is_step = np.arange(self._summaries.shape[1])[None] < self.step[chosen, None]
        mask = torch.as_tensor(is_step, device=self.device)
        rows = torch.as_tensor(chosen, device=self.device)
        final = accuracy[rows][:, None].expand(mask.shape)
        return Ended(
            num_prior=int((is_over & is_prior).sum()),
            num_prior_solved=int((is_over & is_prior & is_exact).sum()),
            num_posterior=int((is_over & ~is_prior).sum()),
            num_posterior_solved=int((is_over & ~is_prior & is_exact).sum()),
            summaries=self._summaries[rows][mask],
            is_exact=torch.as_tensor(self._was_exact[chosen][is_step], device=self.device),
            accuracy=final[mask],
        )

    def _refill(self, is_over: Flags, progress: float) -> None:
        chosen = np.flatnonzero(is_over)
        if not len(chosen):
            return
        num_puzzles = len(chosen) // self._num_siblings
        examples = self._source.draw(num_puzzles, progress, self._rng)
        rows = torch.as_tensor(chosen, device=self.device)
        for target, values in zip(
            (self.rows.givens, self.rows.targets, self.rows.adjacency),
            (examples.givens, examples.targets, examples.adjacency),
            strict=True,
        ):
            if target is not None and values is not None:
                repeated = np.repeat(values, self._num_siblings, axis=0)
                target[rows] = torch.as_tensor(repeated, device=self.device).to(target.dtype)
        is_prior = self._rng.random(num_puzzles) < self._prior_share
        self.rows.is_prior[rows] = torch.as_tensor(
            np.repeat(is_prior, self._num_siblings), device=self.device
        )
        seeds = torch.as_tensor(self._rng.integers(2**62, size=len(chosen)), device=self.device)
        fresh = self._model.initial_state(seeds, torch.zeros_like(seeds))
        self.state.high[rows] = fresh.high
        self.state.low[rows] = fresh.low
        self.step[chosen] = 0
