"""Shared flags, the client made from them, and one-line errors."""

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from gram_client._calls import is_interruption
from gram_client._client import Client
from gram_client._errors import GramError, StatusError
from gram_client._options import Clues
from gram_client._settings import DEFAULT_TIMEOUT_S
from gram_client.cli.display import place
from gram_client.cli.local import local_server

Command = Callable[..., Any]

INTERRUPTED = 130

HELP = {
    "colors": "Colors of a DIMACS graph.  [default: 3]",
    "width": "Trajectories to sample.  [default: 16]",
    "count": "Boards to generate.  [default: 1]",
    "size": "Side of the boards.",
    "distinct": "Return no board twice.",
    "reduce_clues": "Reduce to puzzles: none, unique, or a number to stop at.",
    "max_trajectories": "Trajectories to sample at most.",
    "depth": "Supervision steps a trajectory may take.",
    "max_solutions": "Stop at this many distinct solutions.",
    "deadline_ms": "Return what there is after this time.",
    "seed": "Repeat an earlier call.",
    "augment": "Show each trajectory a symmetry.",
    "halt": "What ends a trajectory.",
    "fallback": "What answers where no trajectory does.",
    "count_solutions": "Count all solutions.",
    "best_attempt": "Show the nearest answer where there is no solution.",
    "model": "Name of the model.",
    "priority": "Class to wait in.",
    "show_trajectories": "Trajectories to watch while they run.",
}
"""What the flag of each option does, in the order of flags."""


def with_client(command: Command) -> Command:
    """Add the common flags, and pass a client and whether to write JSON."""

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
        with server as address, Client(address, timeout_s=timeout_s) as client:
            command(client=client, is_json=is_json, **options)

    return run


def wants_json(is_json: bool | None) -> bool:
    """Return the choice; by default whether stdout is no terminal."""
    return not sys.stdout.isatty() if is_json is None else is_json


def flags_of(kind: type) -> Callable[[Command], Command]:
    """Add a flag for each option of a call; the server has the defaults."""
    hints = get_type_hints(kind)

    def add(command: Command) -> Command:
        for name in reversed([name for name in HELP if name in hints]):
            word = name.replace("_", "-")
            flag = f"--{word}/--no-{word}" if hints[name] is bool else f"--{word}"
            kind = {Clues: clues, bool: bool, int: int, int | None: int}.get(hints[name], str)
            if get_origin(hints[name]) is Literal:
                kind = click.Choice(get_args(hints[name]))
            option = click.option(flag, name, type=kind, default=None, help=HELP[name])
            command = option(command)
        return command

    return add


def say(error: GramError, *, source: str = "") -> None:
    click.echo(described(error, source=source), err=True)


def described(error: GramError, *, source: str) -> str:
    """Return an error in one line, and one for each rule that it says is broken."""
    where = f"{source}: " if source else ""
    issues = error.errors if isinstance(error, StatusError) else ()
    places = [place(issue.rule, issue.cells) for issue in issues if issue.rule and issue.cells]
    return "\n".join([f"gram: {where}{error}", *places])


def clues(text: str) -> str:
    """Return words or a number as the server reads them."""
    if text in ("none", "unique") or text.isdecimal():
        return text
    raise click.BadParameter("must be none, unique or a number")


@contextmanager
def reported() -> Iterator[None]:
    """Print a failed call in one line, and exit with status 2; with 130 on Ctrl-C."""
    try:
        yield
    except GramError as error:
        say(error)
        raise SystemExit(2) from error
    except (KeyboardInterrupt, RuntimeError) as error:
        if not is_interruption(error):
            raise
        click.echo(err=True)
        if any(thread.name.startswith("gram-map") for thread in threading.enumerate()):
            # The interpreter would wait for the puzzles under way.
            os._exit(INTERRUPTED)
        raise SystemExit(INTERRUPTED) from error
    except OSError as error:
        is_left = isinstance(error, BrokenPipeError)
        if not is_left:
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"gram: {where}{error.strerror}", err=True)
        with suppress(OSError):
            # What is left to write has no place: the reader has closed the pipe, the disk is full.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1 if is_left else 2) from error
