"""The console script ``gram``: answers on stdout, talk on stderr, exit 0, 1 or 2.

0: there is a solution, or every board; 1: there is none, or fewer; 2: the call could not be made
or was refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

from gram_client._client import Client
from gram_client._drawing import draw
from gram_client._errors import GramError, StatusError
from gram_client._inputs import Puzzle
from gram_client._models import GenerateResult, SolveResult
from gram_client._options import Clues, Count, Fallback, Halt, Stop
from gram_client._settings import DEFAULT_TIMEOUT_S
from gram_client._version import __version__

NUM_SHOWN_VIOLATIONS = 5

_base_url = click.option("--base-url", help="The server.  [env: GRAM_BASE_URL]")
_json = click.option("--json", "is_json", is_flag=True, help="Print the answer as JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gram")
def main() -> None:
    """Ask a gram-server to solve puzzles."""


@main.command()
@click.argument("puzzle")
@click.option("--width", default=16, show_default=True, help="Trajectories to sample.")
@click.option("--depth", type=int, help="Supervision steps a trajectory may take.")
@click.option("--max-solutions", type=int, help="Stop at this many distinct solutions.")
@click.option("--deadline-ms", type=int, help="Return what there is after this time.")
@click.option("--seed", type=int, help="Repeat an earlier call.")
@click.option("--augment/--no-augment", default=True, help="A symmetry view per trajectory.")
@click.option("--halt", type=click.Choice(["verified", "act", "never"]), default="verified")
@click.option("--fallback", type=click.Choice(["none", "exact"]), default="none")
@click.option("--count", type=click.Choice(["none", "exact"]), default="none")
@click.option("--model", help="Name of the model.")
@click.option("--timeout-s", default=DEFAULT_TIMEOUT_S, help="Give up after this much silence.")
@_json
@_base_url
def solve(
    puzzle: str,
    *,
    width: int,
    depth: int | None,
    max_solutions: int | None,
    deadline_ms: int | None,
    seed: int | None,
    augment: bool,
    halt: Halt,
    fallback: Fallback,
    count: Count,
    model: str | None,
    timeout_s: float,
    is_json: bool,
    base_url: str | None,
) -> None:
    """Solve PUZZLE: a file, - for stdin, or the puzzle itself.

    A puzzle is a sudoku's characters, a DIMACS graph, or a JSON body.
    """
    body = _read_puzzle(puzzle)
    with _client(base_url, timeout_s) as client:
        result = client.solve(
            body,
            width=width,
            depth=depth,
            max_solutions=max_solutions,
            deadline_ms=deadline_ms,
            seed=seed,
            augment=augment,
            halt=halt,
            fallback=fallback,
            count=count,
            model=model,
        )
    if is_json:
        click.echo(result.model_dump_json())
    else:
        _show(result, size=_board_size(body), maze=_maze_rows(body))
    raise SystemExit(0 if result.is_solved else 1)


@main.command()
@click.argument("puzzle", default="sudoku")
@click.option("--count", default=1, show_default=True, help="Boards to make up.")
@click.option("--size", type=int, help="Side of the boards.")
@click.option("--distinct/--no-distinct", default=True, help="Return no board twice.")
@click.option("--clues", default="none", help="Thin to puzzles: unique, or a number to stop at.")
@click.option("--max-trajectories", type=int, help="Trajectories to sample at most.")
@click.option("--depth", type=int, help="Supervision steps a trajectory may take.")
@click.option("--halt", type=click.Choice(["verified", "act"]), default="verified")
@click.option("--augment/--no-augment", default=False, help="Each board through a symmetry.")
@click.option("--deadline-ms", type=int, help="Return what there is after this time.")
@click.option("--seed", type=int, help="Repeat an earlier call.")
@click.option("--model", help="Name of the model.")
@click.option("--timeout-s", default=DEFAULT_TIMEOUT_S, help="Give up after this much silence.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object for each board.")
@_base_url
def generate(
    puzzle: str,
    *,
    count: int,
    size: int | None,
    distinct: bool,
    clues: str,
    max_trajectories: int | None,
    depth: int | None,
    halt: Stop,
    augment: bool,
    deadline_ms: int | None,
    seed: int | None,
    model: str | None,
    timeout_s: float,
    is_json: bool,
    base_url: str | None,
) -> None:
    """Make up valid boards of PUZZLE (sudoku), or puzzles with exactly one solution."""
    with _client(base_url, timeout_s) as client:
        result = client.generate(
            puzzle,
            count=count,
            size=size,
            distinct=distinct,
            clues=_clues(clues),
            max_trajectories=max_trajectories,
            depth=depth,
            halt=halt,
            augment=augment,
            deadline_ms=deadline_ms,
            seed=seed,
            model=model,
        )
    _show_boards(result, is_json=is_json)
    raise SystemExit(0 if result.is_complete else 1)


@main.command()
@_json
@_base_url
def puzzles(*, is_json: bool, base_url: str | None) -> None:
    """List the puzzles the server knows."""
    with _client(base_url) as client:
        known = client.puzzles()
    if is_json:
        click.echo(json.dumps([puzzle.model_dump(mode="json") for puzzle in known]))
        return
    for puzzle in known:
        click.echo(f"{puzzle.name:16} {' '.join(puzzle.tasks)}".rstrip())


@main.command()
@_json
@_base_url
def models(*, is_json: bool, base_url: str | None) -> None:
    """List the models the server has loaded."""
    with _client(base_url) as client:
        loaded = client.models()
    if is_json:
        click.echo(json.dumps([model.model_dump(mode="json") for model in loaded]))
        return
    for model in loaded:
        size = f"{model.num_parameters:,} parameters"
        click.echo(f"{model.id:32} {model.task:20} depth {model.depth:<4} {size}")


@contextmanager
def _client(base_url: str | None, timeout_s: float = DEFAULT_TIMEOUT_S) -> Iterator[Client]:
    try:
        with Client(base_url, timeout_s=timeout_s) as client:
            yield client
    except GramError as error:
        click.echo(f"gram: {error}", err=True)
        for issue in error.errors if isinstance(error, StatusError) else ():
            if issue.rule and issue.cells:
                click.echo(_place(issue.rule, issue.cells), err=True)
        raise SystemExit(2) from error


def _read_puzzle(argument: str) -> Puzzle:
    text = _read_text(argument)
    if not text.lstrip().startswith(("{", "[")):
        # A maze may begin with a space, which is a free cell.
        return text.strip("\r\n")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"the puzzle is not JSON: {error}") from error
    if isinstance(body, list):
        return {"puzzle": "sudoku", "grid": body}
    return body if isinstance(body, dict) else text


def _read_text(argument: str) -> str:
    if _is_puzzle(argument):
        return argument
    try:
        with click.open_file(argument, encoding="utf-8") as file:
            return str(file.read())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise click.UsageError(f"{argument}: {reason}") from error


def _is_puzzle(argument: str) -> bool:
    # No file of that name is looked for: the characters of a board are hardly ever one.
    is_board = len(argument) >= 8 and set(argument) <= set("0123456789.*_ \n")
    return is_board or "\n" in argument or argument.lstrip().startswith(("{", "["))


def _show(result: SolveResult, *, size: int | None, maze: Sequence[str]) -> None:
    click.echo(_summary(result), err=True)
    for number, solution in enumerate(result.solutions, start=1):
        how = "exact search" if solution.source == "exact" else f"{solution.votes} votes"
        click.echo(f"solution {number}, {how}")
        click.echo(draw(result.puzzle, solution.answer, size=size, maze=maze))
    if result.best_attempt is None:
        return
    violations = result.best_attempt.violations
    click.echo(f"best attempt, broken rules: {len(violations)}", err=True)
    click.echo(draw(result.puzzle, result.best_attempt.answer, size=size, maze=maze), err=True)
    for violation in violations[:NUM_SHOWN_VIOLATIONS]:
        click.echo(_place(violation.rule, violation.cells), err=True)
    if len(violations) > NUM_SHOWN_VIOLATIONS:
        click.echo(f"  and {len(violations) - NUM_SHOWN_VIOLATIONS} more", err=True)


def _clues(text: str) -> Clues:
    if text == "unique":
        return "unique"
    if text == "none":
        return "none"
    if text.isdecimal():
        return int(text)
    raise click.BadParameter("must be none, unique or a number", param_hint="--clues")


def _show_boards(result: GenerateResult, *, is_json: bool) -> None:
    cost = f"{result.usage.engine_ms:.0f} ms, seed {result.seed}, {result.model}"
    valid = f"{result.valid_trajectories} of {result.trajectories} trajectories valid"
    click.echo(f"{result.status}: {len(result.boards)} boards, {valid}, {cost}", err=True)
    for number, board in enumerate(result.boards, start=1):
        if is_json:
            click.echo(board.model_dump_json())
            continue
        if board.puzzle is not None:
            click.echo(f"puzzle {number}, {board.clues} clues")
            click.echo(draw(result.puzzle, board.puzzle))
        click.echo(f"board {number}, trajectory {board.trajectory}")
        click.echo(draw(result.puzzle, board.answer))


def _place(rule: str, cells: Sequence[tuple[int, ...]]) -> str:
    where = " ".join(f"({', '.join(map(str, cell))})" for cell in cells)
    return f"  {rule}: {where}"


def _board_size(body: Puzzle) -> int | None:
    size = body.get("n") if isinstance(body, Mapping) else None
    return size if isinstance(size, int) else None


def _maze_rows(body: Puzzle) -> Sequence[str]:
    """Return the rows of a drawn board, as they were posted."""
    grid = body.get("grid") if isinstance(body, Mapping) else body
    if isinstance(grid, str):
        return grid.splitlines()
    rows = grid if isinstance(grid, Sequence) else ()
    return [row for row in rows if isinstance(row, str)]


def _summary(result: SolveResult) -> str:
    cost = f"{result.usage.engine_ms:.0f} ms, seed {result.seed}, {result.model}"
    valid = f"{result.valid_trajectories} of {result.width} trajectories valid"
    return f"{result.status}: {result.distinct} distinct, {valid}, {cost}"


if __name__ == "__main__":
    main()
