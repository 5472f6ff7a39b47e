"""Answers on a terminal: boards, colours, tables."""

import os
import shutil
import sys
from collections.abc import Sequence
from itertools import zip_longest

import click

from gram_client._drawing import PuzzleShape, text
from gram_client._events import Progress
from gram_client._models import DrawableAnswer, SolveResult
from gram_client._settings import is_dumb

NUM_SHOWN_VIOLATIONS = 5


def show_result(result: SolveResult) -> None:
    """Draw every solution or candidate or, without any, the best attempt."""
    click.echo(summary(result), err=True)
    for number, solution in enumerate(result.solutions, start=1):
        how = "exact search" if solution.source == "exact" else f"{solution.votes} votes"
        click.echo(f"solution {number}, {how}")
        click.echo(painted(solution))
    for number, candidate in enumerate(result.candidates, start=1):
        click.echo(f"candidate {number}, {candidate.votes} votes")
        click.echo(painted(candidate))
    if result.best_attempt is None:
        return
    violations = result.best_attempt.violations
    click.echo(f"best attempt, broken rules: {len(violations)}", err=True)
    click.echo(str(result.best_attempt), err=True)
    for violation in violations[:NUM_SHOWN_VIOLATIONS]:
        click.echo(place(violation.rule, violation.cells), err=True)
    if len(violations) > NUM_SHOWN_VIOLATIONS:
        click.echo(f"  and {len(violations) - NUM_SHOWN_VIOLATIONS} more", err=True)


def summary(result: SolveResult) -> str:
    cost = f"{result.usage.engine_ms:.0f} ms, seed {result.seed}, {result.model}"
    if not result.verified:
        return f"{result.outcome}, {result.width} trajectories, {cost}"
    valid = f"{result.valid_trajectories} of {result.width} trajectories valid"
    proof = "" if result.unsolvable is None else f"no solution, {result.unsolvable.reason}; "
    return f"{result.status}: {proof}{result.distinct} distinct, {valid}, {cost}"


def painted(answer: DrawableAnswer) -> str:
    """Return a drawing in which found cells stand out from givens."""
    return text(answer._shape, answer.answer, _strong)


class Screen:
    """Shows trajectories: over what it showed before, or in a line where a terminal cannot."""

    def __init__(self, shape: PuzzleShape) -> None:
        self._shape = shape
        self._is_live = sys.stderr.isatty() and not is_dumb()
        self._height = 0

    def show(self, look: Progress) -> None:
        line = f"step {look.step}: {look.live} live, {look.solved} solved"
        if not self._is_live:
            click.echo(line, err=True)
            return
        self.clear()
        boards = [
            f"{view.trajectory} {view.state}\n{text(self._shape, view.answer)}"
            for view in look.trajectories
        ]
        lines = [line, *beside(boards, shutil.get_terminal_size())]
        click.echo("\n".join(lines), err=True)
        self._height = len(lines)

    def clear(self) -> None:
        """Take away what is shown."""
        if self._height:
            # Without colours too: only places change.
            up_and_away = f"\x1b[{self._height}A\x1b[J"
            click.echo(up_and_away, nl=False, err=True, color=True)
            self._height = 0


def beside(blocks: Sequence[str], size: os.terminal_size) -> list[str]:
    """Return blocks of lines side by side, as many as a terminal of that size has room for."""
    parts = [block.splitlines() for block in blocks]
    width = 2 + max((len(line) for part in parts for line in part), default=0)
    num_beside = max(1, size.columns // width)
    shown: list[str] = []
    for start in range(0, len(parts), num_beside):
        rows = list(zip_longest(*parts[start : start + num_beside], fillvalue=""))
        if shown and len(shown) + len(rows) > size.lines - 2:
            break
        shown += ["".join(line.ljust(width) for line in row)[: size.columns] for row in rows]
    return shown[: size.lines - 2]


def place(rule: str, cells: Sequence[tuple[int, ...]]) -> str:
    where = " ".join(f"({', '.join(map(str, cell))})" for cell in cells)
    return f"  {rule}: {where}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns, the first left-aligned, the others right-aligned."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _strong(sign: str) -> str:
    return click.style(sign, fg="cyan", bold=True)
