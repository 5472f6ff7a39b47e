"""``gram puzzles`` and ``gram models``: what the server knows and has."""

import click

from gram_client.cli.options import base_url, form, open_client, wants_json


@click.command(epilog="\b\nExamples:\n  gram puzzles\n  gram puzzles --json")
@form
@base_url
def puzzles(*, is_json: bool | None, base_url: str | None) -> None:
    """List the puzzles the server knows."""
    with open_client(base_url) as client:
        for puzzle in client.puzzles():
            if wants_json(is_json):
                click.echo(puzzle.model_dump_json())
            else:
                click.echo(f"{puzzle.name:16} {' '.join(puzzle.tasks)}".rstrip())


@click.command(epilog="\b\nExamples:\n  gram models\n  gram models --base-url http://gpu-host:8000")
@form
@base_url
def models(*, is_json: bool | None, base_url: str | None) -> None:
    """List the models the server has loaded."""
    with open_client(base_url) as client:
        for model in client.models():
            if wants_json(is_json):
                click.echo(model.model_dump_json())
            else:
                size = f"{model.num_parameters:,} parameters"
                click.echo(f"{model.id:32} {model.task:20} depth {model.depth:<4} {size}")
