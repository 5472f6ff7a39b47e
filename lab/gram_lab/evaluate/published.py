"""Figures that others published on the paper's tasks, and what the paper's own model costs.

From arXiv 2605.19376 ("Generative Recursive Reasoning") and, for rows that name them, from the
papers of those methods. Steps are as their authors count them; None where they do not say.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from gram_core.config import GramConfig, preset
from gram_core.flops import step_flops
from gram_core.puzzles.base import Task


class Published(NamedTuple):
    """One method's figures on one task."""

    method: str
    figures: Mapping[str, float]
    steps: int | None = None
    is_paper_model: bool = False
    """Whether it is the paper's 10 M model, so that its FLOP are known."""


GRAM_SAMPLES = 20
"""Samples per puzzle in the paper."""
GRAM_DEPTH = 16
"""Supervision steps of a sample in the paper."""
GRAM_STEPS = GRAM_SAMPLES * GRAM_DEPTH


def _sudoku(
    method: str, exact: float, steps: int | None = None, *, is_paper_model: bool = False
) -> Published:
    return Published(method, {"exact": exact / 100}, steps, is_paper_model)


SUDOKU_TASK = "sudoku-9x9"
SUDOKU = (
    _sudoku("HRM", 55.0),
    _sudoku("Looped Transformer", 61.3),
    _sudoku("URM", 77.6),
    _sudoku("TRM", 87.4),
    _sudoku("TRM, 320 steps", 90.5, 320),
    _sudoku("GRAM, N = 5", 93.96, 5 * GRAM_DEPTH, is_paper_model=True),
    _sudoku("GRAM, mu = 0, N = 5", 94.88, 5 * GRAM_DEPTH, is_paper_model=True),
    _sudoku("winner-take-all TRM, one pass", 96.9),
    _sudoku("GRAM, N = 20", 97.0, GRAM_STEPS, is_paper_model=True),
    _sudoku("looped flows, one trajectory (2609.11801)", 97.9, 128),
    _sudoku("PTRM, K = 100 (2605.19943)", 98.75),
    _sudoku("sotaku, 0.8 M", 98.9, 1024),
    _sudoku("looped flows, five trajectories", 99.3, 5 * 128),
    _sudoku("EqR, 64 trajectories (2605.21488)", 99.8, 64 * 128),
)


def _queens(method: str, accuracy: float, coverage: float) -> Published:
    is_gram = method.startswith("GRAM")
    figures = {"samples": accuracy / 100, "coverage": coverage / 100}
    return Published(method, figures, GRAM_STEPS if is_gram else None, is_gram)


def _coloring(method: str, conflicts: float, coverage: float) -> Published:
    is_gram = method.startswith("GRAM")
    figures = {"conflicts": conflicts, "coverage": coverage / 100}
    return Published(method, figures, GRAM_STEPS if is_gram else None, is_gram)


_AUTOREGRESSIVE = "autoregressive, 10.6 M"
_DIFFUSION = "masked diffusion, 12.6 M"
_GRAM = "GRAM, 10 M"
_FLOWS = "looped flows, 5-7 M"

SAMPLING: Mapping[str, tuple[Published, ...]] = MappingProxyType(
    {
        "nqueens-8": (
            _queens("HRM", 78.7, 26.7),
            _queens("TRM", 66.8, 36.1),
            _queens(_AUTOREGRESSIVE, 96.3, 84.8),
            _queens(_DIFFUSION, 96.1, 87.2),
            _queens(_GRAM, 99.7, 90.3),
            _queens(_FLOWS, 99.9, 91.4),
        ),
        "nqueens-10": (
            _queens("HRM", 37.4, 4.7),
            _queens("TRM", 17.5, 2.0),
            _queens(_AUTOREGRESSIVE, 90.0, 53.2),
            _queens(_DIFFUSION, 74.3, 47.4),
            _queens(_GRAM, 89.7, 57.5),
            _queens(_FLOWS, 94.4, 61.5),
        ),
        "graph-coloring-8": (
            _coloring("HRM", 109.7, 21.8),
            _coloring("TRM", 109.3, 22.3),
            _coloring(_AUTOREGRESSIVE, 19.0, 83.0),
            _coloring(_DIFFUSION, 2.7, 84.5),
            _coloring(_GRAM, 2.7, 85.8),
            _coloring(_FLOWS, 0.7, 89.4),
        ),
        "graph-coloring-10": (
            _coloring("HRM", 164.3, 8.9),
            _coloring("TRM", 170.7, 6.8),
            _coloring(_AUTOREGRESSIVE, 61.3, 40.0),
            _coloring(_DIFFUSION, 12.0, 48.2),
            _coloring(_GRAM, 3.3, 51.3),
            _coloring(_FLOWS, 1.0, 55.2),
        ),
    }
)

GENERATION = (
    Published("D3PM", {"validity": 0.9133}, 1000),
    Published("GRAM", {"validity": 0.9905}, GRAM_DEPTH, is_paper_model=True),
)

NUM_TEST_GRAPHS: Mapping[str, int] = MappingProxyType(
    {"graph-coloring-8": 255, "graph-coloring-10": 192}
)
"""Test graphs of the paper, over which conflicts are summed."""


def paper_step_flops(task: Task) -> int:
    """Return the FLOP of a supervision step of the paper's 10 M model on a task."""
    return step_flops(_paper_config(task), _paper_shape(task))


def _paper_shape(task: Task) -> Task:
    """Return the token shapes of the paper: a graph is one token a pair of vertices."""
    if task.family != "graph-coloring":
        return task
    length = task.size * (task.size - 1) // 2 + task.size
    return replace(task, length=length, columns=length)


def _paper_config(task: Task) -> GramConfig:
    config = preset("paper", _paper_shape(task))
    return replace(config, mixer="token") if task.family == "sudoku" else config
