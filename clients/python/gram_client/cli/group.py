"""The group of commands, and the script that completes them in a shell."""

import click
from click.shell_completion import get_completion_class

from gram_client._version import __version__
from gram_client.cli.following import cancel, submit, watch
from gram_client.cli.generating import generate
from gram_client.cli.listing import models, puzzles
from gram_client.cli.solving import solve

SHELLS = ("bash", "zsh", "fish")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gram")
def main() -> None:
    """Ask a gram-server to solve puzzles.

    Exit status 0: solved, 1: unsolved, 2: wrong usage, or the server could not or would not.
    """


@click.command(epilog='\b\nExamples:\n  eval "$(gram completion bash)"')
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print the script that completes gram's words in SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "gram", "_GRAM_COMPLETE").source())


for command in (solve, generate, submit, watch, cancel, puzzles, models, completion):
    main.add_command(command)
