"""``gram generate``: boards that a model generates, and puzzles made of them."""

from typing import Any

import click

from gram_client._client import Client
from gram_client._drawing import draw, text
from gram_client._options import GenerateOptions
from gram_client.cli.options import flags_of, wants_json, with_client

EXAMPLES = """\b
Examples:
  gram generate --count 3 --reduce-clues unique
  gram generate sudoku --size 9 --count 100 > boards.jsonl
"""


@click.command(epilog=EXAMPLES)
@click.argument("puzzle", default="sudoku")
@flags_of(GenerateOptions)
@with_client
def generate(*, puzzle: str, client: Client, is_json: bool | None, **options: Any) -> None:
    """Generate boards of PUZZLE (sudoku), or puzzles made of them.

    Boards are valid; a puzzle of --reduce-clues has its board as the only solution.
    """
    result = client.generate(puzzle, **options)
    cost = f"{result.usage.engine_ms:.0f} ms, seed {result.seed}, {result.model}"
    valid = f"{result.valid_trajectories} of {result.trajectories} trajectories valid"
    click.echo(f"{result.status}: {len(result.boards)} boards, {valid}, {cost}", err=True)
    for number, board in enumerate(result.boards, start=1):
        if wants_json(is_json):
            click.echo(board.model_dump_json())
            continue
        if board.puzzle is not None:
            click.echo(f"puzzle {number}, {board.clues} clues")
            click.echo(draw(result.puzzle, board.puzzle))
        click.echo(f"board {number}, trajectory {board.trajectory}")
        click.echo(text(board._shape, board.answer))
    raise SystemExit(0 if result.is_complete else 1)
