"""``gram generate``: boards that a model generates, and puzzles made of them."""

from typing import Any

import click

from gram_client._client import Client
from gram_client._drawing import draw
from gram_client._models import GenerateResult
from gram_client._options import Clues
from gram_client.cli.options import wants_json, with_client

EXAMPLES = """\b
Examples:
  gram generate --count 3 --clues unique
  gram generate sudoku --size 9 --count 100 > boards.jsonl
"""


@click.command(epilog=EXAMPLES)
@click.argument("puzzle", default="sudoku")
@click.option("--count", default=1, show_default=True, help="Boards to generate.")
@click.option("--size", type=int, help="Side of the boards.")
@click.option("--distinct/--no-distinct", default=True, help="Return no board twice.")
@click.option("--clues", default="none", help="Reduce to puzzles: unique, or a number to stop at.")
@click.option("--max-trajectories", type=int, help="Trajectories to sample at most.")
@click.option("--depth", type=int, help="Supervision steps a trajectory may take.")
@click.option("--halt", type=click.Choice(["verified", "act"]), default="verified")
@click.option("--augment/--no-augment", default=False, help="Each board through a symmetry.")
@click.option("--deadline-ms", type=int, help="Return what there is after this time.")
@click.option("--seed", type=int, help="Repeat an earlier call.")
@click.option("--model", help="Name of the model.")
@with_client
def generate(
    *, puzzle: str, clues: str, client: Client, is_json: bool | None, **options: Any
) -> None:
    """Generate boards of PUZZLE (sudoku), or puzzles made of them.

    Boards are valid; a puzzle of --clues has its board as the only solution.
    """
    result = client.generate(puzzle, clues=_clues(clues), **options)
    _show(result, is_json=wants_json(is_json))
    raise SystemExit(0 if result.is_complete else 1)


def _clues(text: str) -> Clues:
    words: dict[str, Clues] = {"none": "none", "unique": "unique"}
    if text in words or text.isdecimal():
        return words.get(text) or int(text)
    raise click.BadParameter("must be none, unique or a number", param_hint="--clues")


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
