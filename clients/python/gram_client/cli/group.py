"""The group of commands, the listing commands, and shell completion."""

import sys
from typing import Any

import click
from click.shell_completion import get_completion_class

from gram_client._client import Client
from gram_client._settings import has_colors
from gram_client._version import __version__
from gram_client.cli.generate_command import generate
from gram_client.cli.jobs import cancel, jobs, show, submit, watch
from gram_client.cli.options import reported, wants_json, with_client
from gram_client.cli.solve_command import solve

SHELLS = ("bash", "zsh", "fish")

ENVIRONMENT = """\b
Environment:
  GRAM_BASE_URL  the server, http://127.0.0.1:8000 by default
  GRAM_API_KEY   the key, where the server asks for one
  GRAM_LOG       info or debug: show every request
  NO_COLOR       no colours
"""


class Group(click.Group):
    """Prints failures in one line, and colours where they are wanted."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.color = ctx.color if has_colors() else False
        if sys.stdout is None:
            click.echo("gram: standard output is closed", err=True)
            ctx.exit(2)
        with reported():
            return super().invoke(ctx)


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=ENVIRONMENT
)
@click.version_option(__version__, prog_name="gram")
def main() -> None:
    """Ask a gram-server to solve puzzles.

    Exit status 0: solved, 1: unsolved, 2: wrong usage, or the server could not or would not, 130:
    interrupted.
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


COMMANDS = (solve, generate, submit, watch, jobs, show, cancel, puzzles, models, completion)
for command in COMMANDS:
    main.add_command(command)
