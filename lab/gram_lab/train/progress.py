"""The budget of a run, and the figures between two lines of its log."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gram_core.errors import ConfigError
from gram_lab.train.losses import StepLoss
from gram_lab.train.rollout import Ended


class Budget:
    """A budget of minutes, summed over interruptions, or of updates."""

    def __init__(self, *, minutes: float | None = None, updates: int | None = None) -> None:
        """Take exactly one of the two."""
        if (minutes is None) == (updates is None):
            raise ConfigError("minutes", minutes, "set exactly one of minutes and updates")
        self._minutes, self._updates = minutes, updates
        self.resume(0.0)

    def resume(self, used_s: float) -> None:
        """Restart the clock, with that many seconds already used."""
        self._start_s = time.monotonic() - used_s

    @property
    def used_s(self) -> float:
        return time.monotonic() - self._start_s

    def progress(self, num_updates: int) -> float:
        """Return the used share in 0..1."""
        if self._updates is not None:
            return min(1.0, num_updates / self._updates)
        assert self._minutes is not None
        return min(1.0, self.used_s / (60.0 * self._minutes))


@dataclass(slots=True)
class RunningMetrics:
    """Collects figures; ``take`` averages and resets."""

    _losses: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    _counts: list[tuple[int, int, int, int]] = field(default_factory=list)

    def add(self, result: StepLoss, ended: Ended) -> None:
        """Add one update, without waiting for the device."""
        self._losses.append((result.loss.detach(), result.cross_entropy, result.divergence))
        self._counts.append(ended[:4])

    def add_denoising(self, loss: Tensor, num_ended: int) -> None:
        """Add one update of the denoising curriculum, which has neither KL nor prior rows."""
        self._losses.append((loss, loss, torch.zeros_like(loss)))
        self._counts.append((0, 0, num_ended, 0))

    def take(self) -> dict[str, float]:
        """Return the means since the last call; shares are NaN where nothing ended."""
        loss, cross_entropy, divergence = (
            float(sum(float(row[part]) for row in self._losses)) / max(1, len(self._losses))
            for part in range(3)
        )
        prior, prior_solved, posterior, posterior_solved = (
            sum(row[part] for row in self._counts) for part in range(4)
        )
        self._losses.clear()
        self._counts.clear()
        return {
            "loss": loss,
            "cross_entropy": cross_entropy,
            "kl_nats": divergence,
            "prior_solved": prior_solved / prior if prior else float("nan"),
            "posterior_solved": posterior_solved / posterior if posterior else float("nan"),
            "ended": prior + posterior,
        }
