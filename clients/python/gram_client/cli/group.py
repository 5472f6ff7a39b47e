"""The group of commands, the listing commands, and shell completion."""

import click
from click.shell_completion import get_completion_class

from gram_client._client import Client
from gram_client._version import __version__
from gram_client.cli.generate_command import generate
from gram_client.cli.jobs import cancel, submit, watch
from gram_client.cli.options import wants_json, with_client
from gram_client.cli.solve_command import solve

SHELLS = ("bash", "zsh", "fish")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gram")
def main() -> None:
    """Ask a gram-server to solve puzzles.

    Exit status 0: solved, 1: unsolved, 2: wrong usage, or the server could not or would not.
    """


@click.command(epilog="\b\nExamples:\n  gram puzzles\n  gram puzzles --json")
@with_client
def puzzles(*, client: Client, is_json: bool | None) -> None:
    """List the puzzles the server knows."""
    for puzzle in client.puzzles():
        line = f"{puzzle.name:16} {' '.join(puzzle.tasks)}".rstrip()
        click.echo(puzzle.model_dump_json() if wants_json(is_json) else line)


@click.command(epilog="\b\nExamples:\n  gram models\n  gram models --base-url http://gpu-host:8000")
@with_client
def models(*, client: Client, is_json: bool | None) -> None:
    """List the models the server has loaded."""
    for model in client.models():
        size = f"{model.num_parameters:,} parameters"
        line = f"{model.id:32} {model.task:20} depth {model.depth:<4} {size}"
        click.echo(model.model_dump_json() if wants_json(is_json) else line)


@click.command(epilog='\b\nExamples:\n  eval "$(gram completion bash)"')
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print the script that completes gram's words in SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "gram", "_GRAM_COMPLETE").source())


for command in (solve, generate, submit, watch, cancel, puzzles, models, completion):
    main.add_command(command)
