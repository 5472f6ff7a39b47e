"""``gram solve``: boards of one puzzle, or a table of many."""

import json
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click

from gram_client._calls import DEFAULT_CONCURRENCY
from gram_client._client import Client
from gram_client._drawing import PuzzleShape
from gram_client._errors import BadRequest, GramError, PuzzleUnusable
from gram_client._events import Accepted, Done, Progress
from gram_client._models import SolveResult
from gram_client._options import SolveOptions
from gram_client._retry import DEFAULT_PATIENCE_S
from gram_client.cli.display import Screen, show_result, table
from gram_client.cli.options import described, flags_of, say, wants_json, with_client
from gram_client.cli.puzzle_files import named, puzzle_arguments
from gram_files import Entry, Item

Outcome = SolveResult | GramError
NUM_WATCHED = 16
"""Trajectories that are drawn, where a terminal has room for them."""

EXAMPLES = """\b
Examples:
  gram solve 53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79
  gram solve '{"puzzle": "nqueens", "n": 8, "queens": [[0, 3]]}' --width 64
  gram solve graph.col --watch
  gram solve puzzles.txt --output solved.jsonl
  curl -s https://example.org/puzzle.txt | gram solve - --local
"""


@click.command(epilog=EXAMPLES)
@puzzle_arguments
@flags_of(SolveOptions)
@click.option("--concurrency", default=DEFAULT_CONCURRENCY, help="Puzzles under way at once.")
@click.option(
    "--patience-s", default=DEFAULT_PATIENCE_S, help="Go on asking a busy server for so long."
)
@click.option("--output", type=click.Path(dir_okay=False), help="File for JSON lines.")
@click.option("--resume", is_flag=True, help="Leave out what --output has results of.")
@click.option("--watch", is_flag=True, help="Draw the trajectories of one puzzle while they run.")
@click.option("--local", is_flag=True, help="Without a server, where gram-server is installed.")
@with_client
def solve(
    *,
    puzzles: Sequence[Item],
    concurrency: int,
    patience_s: float,
    output: str | None,
    resume: bool,
    watch: bool,
    client: Client,
    is_json: bool | None,
    **options: Any,
) -> None:
    """Solve each PUZZLE: a file, - for stdin, or the puzzle itself.

    Files may hold many puzzles: one a line, drawn, .sdk, .sdm, .ss, DIMACS graphs, tables with a
    column of puzzles (CSV, TSV), JSON, NumPy arrays. What cannot be read is named, and the rest
    is solved.
    """
    if resume and output is None:
        raise click.UsageError("--resume needs --output")
    if len(puzzles) == 1 and output is None and isinstance(puzzles[0], Entry):
        raise SystemExit(_solve_one(client, puzzles[0], options, is_json, is_watched=watch))
    if watch:
        raise click.UsageError("--watch shows one puzzle, and no --output")
    options |= {"max_concurrency": concurrency, "patience_s": patience_s}
    if resume and output is not None:
        done = _kept_results(Path(output))
        puzzles = [each for each in puzzles if each.source not in done]
    mode = "a" if resume else "w"
    file = nullcontext() if output is None else click.open_file(output, mode, encoding="utf-8")
    with file as lines:
        raise SystemExit(_solve_many(client, puzzles, options, lines, is_json))


def _solve_one(
    client: Client, entry: Entry, options: Any, is_json: bool | None, *, is_watched: bool
) -> int:
    try:
        result = _watched(client, entry, options) if is_watched else client.solve(entry, **options)
    except BadRequest as error:
        say(error, source=named(entry))
        return 2
    if wants_json(is_json):
        click.echo(_line(entry, result))
    else:
        show_result(result)
    return int(not result.is_solved)


def _watched(client: Client, entry: Entry, options: Any) -> SolveResult:
    """Solve a puzzle, and draw its trajectories meanwhile."""
    screen = Screen(PuzzleShape())
    num_shown = min(NUM_WATCHED, options.get("width") or NUM_WATCHED)
    for event in client.solve_stream(entry, show_trajectories=num_shown, **options):
        if isinstance(event, Accepted):
            screen = Screen(PuzzleShape(puzzle=event.puzzle, posted=entry.puzzle))
        elif isinstance(event, Progress):
            screen.show(event)
        elif isinstance(event, Done) and event.result is not None:
            screen.clear()
            return event.result
    raise AssertionError("the stream of a solve ends with its result")


def _kept_results(output: Path) -> set[str]:
    """Return the sources of the results in a file of an earlier run, and drop its other lines."""
    if not output.exists():
        return set()
    kept, rest = set(), output.with_name(f"{output.name}.part")
    with output.open(encoding="utf-8") as lines, rest.open("w", encoding="utf-8") as file:
        for line in lines:
            try:
                result = json.loads(line)
            except ValueError:
                # The earlier run ended within this line.
                continue
            if isinstance(result, dict) and "source" in result and "error" not in result:
                kept.add(str(result["source"]))
                file.write(line if line.endswith("\n") else f"{line}\n")
    os.replace(rest, output)
    return kept


def _solve_many(
    client: Client,
    found: Sequence[Item],
    options: Any,
    output: IO[str] | None,
    is_json: bool | None,
) -> int:
    """Solve all, show progress on stderr, and end with a table."""
    started_s = time.perf_counter()
    entries = [each for each in found if isinstance(each, Entry)]
    results = client.map(entries, progress=True, on_error="return", **options)
    tally = Tally()
    # Thousands of boards would flood a terminal: the table sums them up.
    has_lines = output is not None or wants_json(is_json)
    for each in found:
        outcome = next(results) if isinstance(each, Entry) else PuzzleUnusable(each.reason)
        tally.add(each.source, outcome)
        if has_lines:
            click.echo(_line(each, outcome), file=output)
        elif is_json is False and isinstance(each, Entry) and isinstance(outcome, SolveResult):
            click.echo(each.source)
            show_result(outcome)
    # Ends the bar.
    next(results, None)
    for error in tally.errors:
        click.echo(error, err=True)
    click.echo(tally.report(duration_s=time.perf_counter() - started_s), err=True)
    return tally.exit_status


@dataclass(slots=True)
class Tally:
    """What became of many puzzles, without their answers."""

    groups: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)
    """By status: solutions, steps and milliseconds of each puzzle."""
    errors: list[str] = field(default_factory=list)
    """What to say of them: an error itself holds on to its response and more."""
    num_unsolved: int = 0

    def add(self, source: str, outcome: Outcome) -> None:
        if isinstance(outcome, GramError):
            self.errors.append(described(outcome, source=source))
            return
        self.num_unsolved += not outcome.is_solved
        usage = outcome.usage
        figures = (outcome.distinct, usage.supervision_steps, usage.engine_ms)
        self.groups.setdefault(outcome.status, []).append(figures)

    @property
    def exit_status(self) -> int:
        """The worst outcome: 2 for an error, 1 for an unsolved puzzle, else 0."""
        return 2 if self.errors else int(self.num_unsolved > 0)

    def report(self, *, duration_s: float) -> str:
        every = [figures for group in self.groups.values() for figures in group]
        num_all, num_errors = len(every) + len(self.errors), len(self.errors)
        rows = [["", "puzzles", "share", "solutions", "steps", "median ms"]]
        for status in dict.fromkeys(("solved", "unsolved", "partial", *self.groups)):
            group = self.groups.get(status, [])
            if group or status == "solved":
                rows.append(_row(status, len(group), num_all, group))
        if num_errors:
            rows.append(["error", str(num_errors), _share(num_errors, num_all), "", "", ""])
        rows.append(_row("all", num_all, num_all, every))
        rate = num_all / duration_s if duration_s else 0.0
        return f"{table(rows)}\n{duration_s:.1f} s, {rate:.1f} puzzles/s"


def _row(name: str, count: int, num_all: int, group: Sequence[tuple[int, int, float]]) -> list[str]:
    solutions, steps = (sum(figures[at] for figures in group) for at in (0, 1))
    median = f"{statistics.median(figures[2] for figures in group):.1f}" if group else ""
    return [name, str(count), _share(count, num_all), str(solutions), str(steps), median]


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else ""


def _line(entry: Item, outcome: Outcome) -> str:
    if isinstance(outcome, GramError):
        error = {"code": outcome.code, "detail": str(outcome)}
        return json.dumps({"source": entry.source, "error": error})
    return json.dumps({"source": entry.source, **outcome.to_dict()})
