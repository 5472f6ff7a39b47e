"""``gram solve``: boards of one puzzle, or a table of many."""

import json
import statistics
import time
from collections.abc import Iterable, Sequence
from typing import IO, Any

import click

from gram_client._client import Client
from gram_client._errors import GramError
from gram_client._map import DEFAULT_CONCURRENCY
from gram_client._models import SolveResult
from gram_client._options import SolveOptions
from gram_client.cli.display import show_result, table
from gram_client.cli.options import flags_of, say, wants_json, with_client
from gram_client.cli.puzzle_files import Entry, givens_of, puzzle_arguments

Outcome = SolveResult | GramError

EXAMPLES = """\b
Examples:
  gram solve 53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79
  gram solve '{"puzzle": "nqueens", "n": 8, "queens": [[0, 3]]}' --width 64
  gram solve graph.col
  gram solve puzzles.txt --output solved.jsonl
  curl -s https://example.org/puzzle.txt | gram solve - --local
"""


@click.command(epilog=EXAMPLES)
@puzzle_arguments
@flags_of(SolveOptions)
@click.option("--concurrency", default=DEFAULT_CONCURRENCY, help="Puzzles under way at once.")
@click.option("--output", type=click.File("w", encoding="utf-8"), help="File for JSON lines.")
@click.option("--local", is_flag=True, help="Without a server, where gram-server is installed.")
@with_client
def solve(
    *,
    puzzles: Sequence[Entry],
    concurrency: int,
    output: IO[str] | None,
    client: Client,
    is_json: bool | None,
    **options: Any,
) -> None:
    """Solve each PUZZLE: a file, - for stdin, or the puzzle itself.

    Files are .txt, .sdk, .sdm, .col (DIMACS) or JSON, and may hold many puzzles.
    """
    if len(puzzles) == 1 and output is None:
        [entry] = puzzles
        result = client.solve(entry.puzzle, **options)
        if wants_json(is_json):
            click.echo(_line(entry, result))
        else:
            show_result(result, givens_of(entry.puzzle))
        raise SystemExit(exit_status([result]))
    options["max_concurrency"] = concurrency
    raise SystemExit(_solve_many(client, puzzles, options, output, is_json))


def _solve_many(
    client: Client,
    entries: Sequence[Entry],
    options: Any,
    output: IO[str] | None,
    is_json: bool | None,
) -> int:
    """Solve all, show progress on stderr, and end with a table."""
    started_s = time.perf_counter()
    outcomes: list[Outcome] = []
    many = [entry.puzzle for entry in entries]
    results = client.map(many, progress=True, on_error="return", **options)
    # Thousands of boards would flood a terminal: the table sums them up.
    has_lines = output is not None or wants_json(is_json)
    for entry, outcome in zip(entries, results, strict=True):
        outcomes.append(outcome)
        if has_lines:
            click.echo(_line(entry, outcome), file=output)
        elif is_json is False and isinstance(outcome, SolveResult):
            click.echo(entry.source)
            show_result(outcome, givens_of(entry.puzzle))
    for entry, outcome in zip(entries, outcomes, strict=True):
        if isinstance(outcome, GramError):
            say(outcome, source=entry.source)
    click.echo(report(outcomes, duration_s=time.perf_counter() - started_s), err=True)
    return exit_status(outcomes)


def exit_status(outcomes: Iterable[Outcome]) -> int:
    """Return the worst outcome: 2 for an error, 1 for an unsolved puzzle, else 0."""
    statuses = (2 if isinstance(one, GramError) else int(not one.is_solved) for one in outcomes)
    return max(statuses, default=0)


def report(outcomes: Sequence[Outcome], *, duration_s: float) -> str:
    """Return the closing table of a run of many puzzles."""
    results = [one for one in outcomes if isinstance(one, SolveResult)]
    num_all, num_errors = len(outcomes), len(outcomes) - len(results)
    rows = [["", "puzzles", "share", "solutions", "steps", "median ms"]]
    for status in ("solved", "unsolved", "partial"):
        group = [one for one in results if one.status == status]
        if group or status == "solved":
            rows.append(_row(status, len(group), num_all, group))
    if num_errors:
        rows.append(["error", str(num_errors), _share(num_errors, num_all), "", "", ""])
    rows.append(_row("all", num_all, num_all, results))
    rate = num_all / duration_s if duration_s else 0.0
    return f"{table(rows)}\n{duration_s:.1f} s, {rate:.1f} puzzles/s"


def _row(name: str, count: int, num_all: int, group: Sequence[SolveResult]) -> list[str]:
    solutions = sum(one.distinct for one in group)
    steps = sum(one.usage.supervision_steps for one in group)
    median = f"{statistics.median(one.usage.engine_ms for one in group):.1f}" if group else ""
    return [name, str(count), _share(count, num_all), str(solutions), str(steps), median]


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else ""


def _line(entry: Entry, outcome: Outcome) -> str:
    if isinstance(outcome, GramError):
        error = {"code": outcome.code, "detail": str(outcome)}
        return json.dumps({"source": entry.source, "error": error})
    return json.dumps({"source": entry.source, **outcome.to_dict()})
