"""Answers on a terminal: boards, colours, tables."""

from collections.abc import Sequence

import click

from gram_client._models import DrawableAnswer, SolveResult

NUM_SHOWN_VIOLATIONS = 5
BLANKS = ".0*_"


def show_result(result: SolveResult, givens: str = "") -> None:
    """Draw every solution or, without any, the best attempt."""
    click.echo(summary(result), err=True)
    for number, solution in enumerate(result.solutions, start=1):
        how = "exact search" if solution.source == "exact" else f"{solution.votes} votes"
        click.echo(f"solution {number}, {how}")
        click.echo(painted(solution, result.puzzle, givens))
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
    valid = f"{result.valid_trajectories} of {result.width} trajectories valid"
    proof = "" if result.unsolvable is None else f"no solution, {result.unsolvable.reason}; "
    return f"{result.status}: {proof}{result.distinct} distinct, {valid}, {cost}"


def painted(answer: DrawableAnswer, puzzle: str, givens: str = "") -> str:
    """Return a drawing in which found cells stand out from givens."""
    text = str(answer)
    if puzzle == "sudoku":
        cells = iter(givens)
        return "".join(
            _strong(sign) if sign.isdecimal() and next(cells, "1") in BLANKS else sign
            for sign in text
        )
    signs = {"nqueens": "Q", "maze": "*"}.get(puzzle, "")
    return "".join(_strong(sign) if sign in signs and signs else sign for sign in text)


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
