"""Flags that commands share, the client that they ask for, and errors in a line."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, get_args

import click

from gram_client._client import Client
from gram_client._errors import GramError, StatusError
from gram_client._options import Count, Fallback, Halt
from gram_client._settings import DEFAULT_TIMEOUT_S
from gram_client.cli.display import place
from gram_client.cli.local import local_server

Command = Callable[..., Any]


def with_client(command: Command) -> Command:
    """Add what every command takes, and give it a client and whether it is to write JSON."""

    @click.option(
        "--json/--boards",
        "is_json",
        default=None,
        help="JSON lines, or boards; by default boards on a terminal.",
    )
    @click.option("--timeout-s", default=DEFAULT_TIMEOUT_S, help="Give up after this silence.")
    @click.option("--base-url", help="The server.  [env: GRAM_BASE_URL]")
    @functools.wraps(command)
    def run(
        *,
        base_url: str | None,
        timeout_s: float,
        is_json: bool | None,
        local: bool = False,
        **options: Any,
    ) -> None:
        server = local_server() if local else nullcontext(base_url)
        with _reported(), server as address, Client(address, timeout_s=timeout_s) as client:
            command(client=client, is_json=is_json, **options)

    return run


def wants_json(is_json: bool | None) -> bool:
    """Return the choice, or the default of where the output goes."""
    return not sys.stdout.isatty() if is_json is None else is_json


def solving(command: Command) -> Command:
    """Add what a puzzle may be solved with."""
    options = (
        click.option("--width", type=int, help="Trajectories to sample.  [default: 16]"),
        click.option("--depth", type=int, help="Supervision steps a trajectory may take."),
        click.option("--max-solutions", type=int, help="Stop at this many distinct solutions."),
        click.option("--deadline-ms", type=int, help="Return what there is after this time."),
        click.option("--seed", type=int, help="Repeat an earlier call."),
        click.option("--augment/--no-augment", default=None, help="A symmetry view for each."),
        click.option("--halt", type=click.Choice(get_args(Halt)), help="What ends a trajectory."),
        click.option("--fallback", type=click.Choice(get_args(Fallback)), help="Search exactly."),
        click.option(
            *("--count-solutions", "--count"),
            "count_solutions",
            type=click.Choice(get_args(Count)),
            help="Count all solutions; --count is the former name.",
        ),
        click.option("--model", help="Name of the model."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def say(error: GramError, *, source: str = "") -> None:
    """Say on stderr what went wrong, and where."""
    where = f"{source}: " if source else ""
    click.echo(f"gram: {where}{error}", err=True)
    for issue in error.errors if isinstance(error, StatusError) else ():
        if issue.rule and issue.cells:
            click.echo(place(issue.rule, issue.cells), err=True)


@contextmanager
def _reported() -> Iterator[None]:
    """Say in a line what a call failed with, and exit with status 2."""
    try:
        yield
    except GramError as error:
        say(error)
        raise SystemExit(2) from error
    except BrokenPipeError as error:
        # Whoever read the output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from error
