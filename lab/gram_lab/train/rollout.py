"""The running trajectories of a training batch: their steps and final results.

Rows start staggered, so that every update sees all supervision steps; a row whose trajectory has
ended, or has just found a solution, takes a fresh puzzle. Knows no gradient.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram_core.errors import ConfigError
from gram_core.model import Gram, LatentState
from gram_core.puzzles import BLANK, FIRST_VALUE
from gram_lab.data.examples import Source
from gram_lab.train import ranks
from gram_lab.train.empty_boards import EmptyBoards
from gram_lab.train.losses import Rows, StepLoss
from gram_lab.train.recipe import Recipe

Flags = NDArray[np.bool_]


class Ended(NamedTuple):
    """Results of the trajectories of this rank that ended in one update."""

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
    """A batch of trajectories under training, this rank's of all."""

    def __init__(
        self, model: Gram, source: Source, recipe: Recipe, rng: np.random.Generator
    ) -> None:
        """Fill every row, at a staggered step; siblings, neighbouring rows, share a puzzle."""
        self.model, self._source, self._recipe, self._rng = model, source, recipe, rng
        config, task = model.config, source.task
        self._own = ranks.own(recipe.num_rows)
        num_rows = self._own.stop - self._own.start
        self.device = model.z0_high.device
        shape = (num_rows, config.num_tokens, config.dim)
        self.state = LatentState(*torch.zeros(2, *shape, device=self.device).unbind(0))
        tokens = torch.zeros(num_rows, task.length, dtype=torch.int64, device=self.device)
        is_on = torch.zeros(num_rows, dtype=torch.bool, device=self.device)
        self.rows = Rows(
            givens=tokens,
            targets=tokens[:, None].repeat(1, source.max_targets, 1),
            is_prior=is_on,
            adjacency=(
                is_on[:, None, None].repeat(1, task.length, task.length)
                if task.has_adjacency
                else None
            ),
            auxiliary=tokens[:, None].repeat(1, 3, 1) if recipe.auxiliary_weight else None,
        )
        self.step = np.zeros(num_rows, dtype=np.int64)
        self._summaries = torch.zeros(num_rows, 0, config.dim, device=self.device)
        self._was_exact = np.zeros((num_rows, 0), dtype=bool)
        num_steps = recipe.num_steps(0.0)
        self._grow(num_steps)
        self._refill(np.ones(num_rows, dtype=bool), 0.0)
        groups = np.arange(recipe.num_rows) // recipe.num_siblings
        self.step = ((groups * num_steps // (groups[-1] + 1)) % num_steps)[self._own]

    def part(self, rows: slice) -> tuple[LatentState, Rows]:
        """Return the state and the puzzles of some of its rows."""
        found = Rows(*(None if each is None else each[rows] for each in self.rows))  # type: ignore[arg-type]
        if found.auxiliary is not None:
            found = found._replace(steps=torch.as_tensor(self.step[rows], device=self.device))
        return LatentState(*(each[rows] for each in self.state)), found

    def advance(self, steps: Sequence[StepLoss], progress: float) -> Ended:
        """Apply one supervision step, given in parts; score and replace the ended rows."""
        num_steps = self._recipe.num_steps(progress)
        self._grow(num_steps)
        logits = torch.cat([one.logits for one in steps])
        self._follow(logits)
        is_exact, accuracy = self._score(logits)
        rows = np.arange(len(self.step))
        at = (torch.as_tensor(each, device=self.device) for each in (rows, self.step))
        self._summaries[tuple(at)] = torch.cat([one.summary for one in steps]).float()
        self._was_exact[rows, self.step] = is_exact
        self.step += 1
        # Half of the fresh solutions stay, so that the model learns to hold one.
        leaves = is_exact & (self._rng.random(self._recipe.num_rows)[self._own] < 0.5)
        # Siblings end together: with the first that ends if they compete, else with the last.
        groups = ((self.step >= num_steps) | leaves).reshape(-1, self._recipe.num_siblings)
        ends = groups.any(axis=1) if self._recipe.learns == "best" else groups.all(axis=1)
        is_over = np.repeat(ends, self._recipe.num_siblings)
        ended = self._ended(is_over, is_exact, accuracy)
        self.state = LatentState(
            *(torch.cat(each) for each in zip(*(one.state for one in steps), strict=True))
        )
        self._refill(is_over, progress)
        return ended

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for ``restore``, by name."""
        found: dict[str, Tensor | None] = {
            **self.rows._asdict(),
            "high": self.state.high,
            "low": self.state.low,
            "step": torch.as_tensor(self.step),
            "summaries": self._summaries,
            "was_exact": torch.as_tensor(self._was_exact),
        }
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def restore(self, found: dict[str, Tensor]) -> None:
        found = {name: tensor.to(self.device) for name, tensor in found.items()}
        self.state = LatentState(found["high"], found["low"])
        self.rows = Rows(**{name: found[name] for name in Rows._fields if name in found})
        self._summaries = found["summaries"]
        self.step, self._was_exact = (
            found[name].cpu().numpy().copy() for name in ("step", "was_exact")
        )

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

    def _score(self, logits: Tensor) -> tuple[Flags, Tensor]:
        """Return which answers are solutions, and each one's share of unknown cells right."""
        answers = logits[..., BLANK:].argmax(dim=-1) + BLANK  # (batch, length)
        is_unknown = (self.rows.givens == BLANK)[:, None]
        is_right = (answers[:, None] == self.rows.targets) & is_unknown
        share = is_right.sum(dim=2) / is_unknown.sum(dim=2).clamp(min=1)  # (batch, targets)
        best = share.max(dim=1).values
        return (best >= 1.0).cpu().numpy(), best

    def _ended(self, is_over: Flags, is_exact: Flags, accuracy: Tensor) -> Ended:
        is_prior = self.rows.is_prior.cpu().numpy()
        chosen = np.flatnonzero(is_over & is_prior)
        is_step = np.arange(self._summaries.shape[1])[None] < self.step[chosen, None]
        mask = torch.as_tensor(is_step, device=self.device)
        rows = torch.as_tensor(chosen, device=self.device)
        return Ended(
            num_prior=len(chosen),
            num_prior_solved=int(is_exact[chosen].sum()),
            num_posterior=int((is_over & ~is_prior).sum()),
            num_posterior_solved=int((is_over & ~is_prior & is_exact).sum()),
            summaries=self._summaries[rows][mask],
            is_exact=torch.as_tensor(self._was_exact[chosen][is_step], device=self.device),
            accuracy=accuracy[rows][:, None].expand(mask.shape)[mask],
        )

    def _refill(self, is_over: Flags, progress: float) -> None:
        chosen = np.flatnonzero(ranks.whole(torch.as_tensor(is_over)).numpy())
        if not len(chosen):
            return
        num_siblings = self._recipe.num_siblings
        num_puzzles = len(chosen) // num_siblings
        examples = self._source.draw(num_puzzles, progress, self._rng)
        is_prior = self._rng.random(num_puzzles) < self._recipe.prior_share
        seeds = self._rng.integers(2**62, size=len(chosen))
        is_held, places = ranks.held(chosen, self._recipe.num_rows)
        rows = torch.as_tensor(places, device=self.device)
        if self.rows.auxiliary is not None and examples.auxiliary is None:
            detail = f"must be 0: nothing else is known of the puzzles of {self._source.task.name}"
            raise ConfigError("auxiliary_weight", self._recipe.auxiliary_weight, detail)
        fresh = {**examples._asdict(), "is_prior": is_prior}
        for name, target in self.rows._asdict().items():
            if target is not None:
                repeated = np.repeat(fresh[name], num_siblings, axis=0)[is_held]
                target[rows] = torch.as_tensor(repeated, device=self.device).to(target.dtype)
        keys = torch.as_tensor(seeds[is_held], device=self.device)
        start = self.model.initial_state(keys, torch.zeros_like(keys))
        self.state.high[rows], self.state.low[rows] = start.high, start.low
        self.step[places] = 0
