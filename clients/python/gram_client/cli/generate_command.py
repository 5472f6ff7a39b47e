"""``gram generate``: boards that a model generates, and puzzles made of them."""

from typing import Any, get_args

import click

from gram_client._client import Client
from gram_client._drawing import draw
from gram_client._models import GenerateResult
from gram_client._options import GenerateHalt
from gram_client.cli.options import wants_json, with_client

EXAMPLES = """\b
Examples:
  gram generate --count 3 --reduce-clues unique
  gram generate sudoku --size 9 --count 100 > boards.jsonl
"""


@click.command(epilog=EXAMPLES)
@click.argument("puzzle", default="sudoku")
@click.option("--count", type=int, help="Boards to generate.  [default: 1]")
@click.option("--size", type=int, help="Side of the boards.")
@click.option("--distinct/--no-distinct", default=None, help="Return no board twice.")
@click.option(
    *("--reduce-clues", "--clues"),
    "reduce_clues",
    callback=lambda context, parameter, text: _clues(text),
    help="Reduce to puzzles: none, unique, or a number to stop at; --clues is the former name.",
)
@click.option("--max-trajectories", type=int, help="Trajectories to sample at most.")
@click.option("--depth", type=int, help="Supervision steps a trajectory may take.")
@click.option("--halt", type=click.Choice(get_args(GenerateHalt)), help="What ends a trajectory.")
@click.option("--augment/--no-augment", default=None, help="Each board through a symmetry.")
@click.option("--deadline-ms", type=int, help="Return what there is after this time.")
@click.option("--seed", type=int, help="Repeat an earlier call.")
@click.option("--model", help="Name of the model.")
@with_client
def generate(*, puzzle: str, client: Client, is_json: bool | None, **options: Any) -> None:
    """Generate boards of PUZZLE (sudoku), or puzzles made of them.

    Boards are valid; a puzzle of --reduce-clues has its board as the only solution.
    """
    result = client.generate(puzzle, **options)
    _show(result, is_json=wants_json(is_json))
    raise SystemExit(0 if result.is_complete else 1)


def _clues(text: str | None) -> str | None:
    if text in (None, "none", "unique") or text.isdecimal():
        return text
    raise click.BadParameter("must be none, unique or a number")


def _show(result: GenerateResult, *, is_json: bool) -> None:
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
        click.echo(str(board))
