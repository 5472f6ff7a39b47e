"""The pictures of docs/how-it-works.md, drawn from real runs of the shipped weights.

python docs/making/pictures.py [folder]
"""

import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.model import answer
from gram_core.puzzles import BLANK
from gram_core.solve import rollout, solve, unit_tables
from gram_kernels.verify import verify

SUDOKU = "..............3.85..1.2.......5.7.....4...1...9.......5......73..2.1........4...9"
"""A board with 17 givens that is hard for solvers which try digits in their order."""
SEED = 7
SHOWN_STEPS = (1, 2, 4, 8, 16, 32)
NUM_SHOWN = 4
GIVEN, WRONG, VALID, OTHER = "#1a56b0", "#c62828", "#2e7d32", "#9aa0a6"


class Run(NamedTuple):
    """Answers of trajectories at every step."""

    answers: torch.Tensor
    """(steps, trajectories, cells) tokens."""
    num_violations: torch.Tensor
    """(steps, trajectories)."""


def main(folder: Path) -> None:
    mpl.rcParams.update({"font.size": 9, "svg.hashsalt": "gram"})
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_model(find_model("sudoku-9x9"))
    instance = puzzles.family("sudoku").parse_text(SUDOKU)
    run = trajectories(loaded, instance, width=64, depth=64)
    draw_boards(run, instance, folder / "trajectories.png")
    draw_violations(run, folder / "violations.png")
    draw_solutions(load_model(find_model("nqueens-8")), folder / "solutions.png")


@torch.inference_mode()
def trajectories(loaded: LoadedModel, instance: object, *, width: int, depth: int) -> Run:
    """Run trajectories without views, and record their answers at every step."""
    task = loaded.task
    encoded = puzzles.family(task.family).encode(instance)
    givens = torch.as_tensor(encoded.tokens).long().expand(width, -1).contiguous()
    seeds = torch.full((width,), SEED)
    tables = unit_tables(task)
    answers, violations = [], []
    for output in rollout(loaded.model, givens, seeds, torch.arange(width), depth=depth):
        current = answer(output.logits, givens, allows_blank=task.allows_blank)
        answers.append(current)
        violations.append(verify(current, givens, tables).num_violations)
    return Run(torch.stack(answers), torch.stack(violations))


def draw_boards(run: Run, instance: object, path: Path) -> None:
    """Draw some trajectories, a row each, at some steps: quick, slow and stuck ones."""
    shown = chosen(run)
    figure = Figure(figsize=(9.6, 1.75 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), len(SHOWN_STEPS))
    for row, trajectory in enumerate(shown):
        solved_at = first_valid(run, trajectory)
        for column, step in enumerate(SHOWN_STEPS):
            at = step if solved_at is None else min(step, solved_at)
            tokens = run.answers[at - 1, trajectory].numpy()
            board = axes[row, column]
            draw_board(
                board, tokens, instance, is_valid=solved_at is not None and step >= solved_at
            )
            if not row:
                board.set_title(f"step {step}", fontsize=9)
            if not column:
                board.set_ylabel(f"trajectory {trajectory}", fontsize=9)
    figure.savefig(path, dpi=110)


def draw_board(axes: Axes, tokens: np.ndarray, instance: object, *, is_valid: bool) -> None:
    family = puzzles.family("sudoku")
    givens = family.encode(instance).tokens
    violations = family.violations(instance, tokens.astype(np.uint8))
    wrong = {cell for violation in violations for cell in violation.cells}
    for position, token in enumerate(tokens):
        row, column = cell = divmod(position, 9)
        is_given = givens[position] != BLANK
        color = GIVEN if is_given else WRONG if cell in wrong else "#202124"
        axes.text(
            column + 0.5, row + 0.5, str(token - BLANK), color=color, fontsize=6.5,
            ha="center", va="center", weight="bold" if is_given else "normal",
        )  # fmt: skip
    for line in range(10):
        width = 1.1 if line % 3 == 0 else 0.3
        axes.axhline(line, color=OTHER, linewidth=width)
        axes.axvline(line, color=OTHER, linewidth=width)
    axes.set(xlim=(0, 9), ylim=(9, 0), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(color=VALID if is_valid else OTHER, linewidth=2.5 if is_valid else 1.0)


def chosen(run: Run) -> list[int]:
    """Return the quickest trajectory, two between, and a stuck one if there is any."""
    ends = {index: first_valid(run, index) for index in range(run.num_violations.shape[1])}
    solved = sorted((step, index) for index, step in ends.items() if step is not None)
    stuck = [index for index, step in ends.items() if step is None]
    ranks = np.linspace(0, len(solved) - 1, NUM_SHOWN - bool(stuck)).round().astype(int)
    picked = [solved[rank][1] for rank in dict.fromkeys(ranks.tolist())] if solved else []
    return (picked + stuck)[:NUM_SHOWN]


def first_valid(run: Run, trajectory: int) -> int | None:
    """Return the first step, from 1, at which a trajectory's answer is valid."""
    steps = (run.num_violations[:, trajectory] == 0).nonzero()
    return int(steps[0, 0]) + 1 if len(steps) else None


def draw_violations(run: Run, path: Path) -> None:
    """Draw broken rules over steps, a line for each trajectory up to its solution."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    for trajectory in range(run.num_violations.shape[1]):
        end = first_valid(run, trajectory) or len(run.num_violations)
        counts = run.num_violations[:end, trajectory].tolist()
        is_solved = counts[-1] == 0
        color = VALID if is_solved else WRONG
        axes.plot(range(1, end + 1), counts, color=color, linewidth=0.7, alpha=0.6)
        if is_solved:
            axes.plot(end, 0, "o", color=VALID, markersize=3)
    num_solved = sum(first_valid(run, index) is not None for index in range(64))
    axes.set(xlabel="supervision step", ylabel="broken rules")
    axes.set_title(f"{num_solved} of 64 trajectories solved the board", fontsize=9)
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_solutions(loaded: LoadedModel, path: Path) -> None:
    """Draw how many of the 92 eight-queens boards are found against the trajectories."""
    family = puzzles.family("nqueens")
    instance = family.parse({"n": 8})
    found: set[bytes] = set()
    counts: list[int] = []
    for result in solve(loaded, instance, width=256, depth=16, seed=SEED):
        if result.solved_at is not None:
            found.add(family.canonical(instance, result.tokens))
        counts.append(len(found))
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(counts) + 1), counts, color=GIVEN)
    axes.axhline(92, color=OTHER, linestyle="--", linewidth=1)
    axes.set(xlabel="trajectories", ylabel="distinct solutions", ylim=(0, 98))
    axes.set_title(f"{counts[-1]} of 92 ways to place eight queens", fontsize=9)
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "pictures")
