"""The command line ``gram-server``; each command imports what it needs when it runs.

JSON on standard output, messages on standard error; exit status 0, 1 for a failure, 2 for wrong
usage, 130 on Ctrl-C.
"""

import asyncio
import hashlib
import json
import logging
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import get_completion_class

from gram_core.errors import CoreError
from gram_server import __version__
from gram_server.early_stop import stop_early
from gram_server.errors import ConfigError, ServerError, StartRefused
from gram_server.logs import set_up_logging
from gram_server.options import engine_options, secret_texts, setting_option, shown, store_options
from gram_server.settings import WORKER_SETTINGS, Settings

OPENMP_SPINS = "3000"
"""Spins of an OpenMP thread before it sleeps: about ten microseconds."""

LOGGING = "gram_server.is_logging"
"""Key in click's ``meta``: whether a command has set up the log."""

logger = logging.getLogger("gram_server")


class Group(click.Group):
    """Prints expected errors as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        with _one_sentence():
            return super().invoke(ctx)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Turn expected errors into one line and an exit status."""
    try:
        yield
    except (ConfigError, StartRefused) as error:
        _fail(error, status=2)
    except (ServerError, CoreError) as error:
        _fail(error, status=1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: Exception, *, status: int) -> NoReturn:
    """Exit after one line, which is JSON once the log is set up."""
    if click.get_current_context().meta.get(LOGGING):
        logger.error("%s", error)
    else:
        click.echo(f"Error: {error}", err=True)
    sys.exit(status)


def _print_config(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        with _one_sentence():
            echo_settings(Settings.load())
        ctx.exit()


def echo_settings(settings: Settings) -> None:
    """Print settings as JSON, without secrets."""
    click.echo(json.dumps(shown(settings), indent=2))


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gram-server")
@click.option(
    "--print-config",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_config,
    help="Print the settings that the environment makes, and exit.",
)
def main() -> None:
    """Solve puzzles with a generative recursive reasoning model.

    Every setting is a variable of the environment too, GRAM_SERVER_PORT for --port; --print-config
    shows them all. Exit status 0: done, 1: failed, 2: wrong usage or settings, 130: interrupted.
    """
    stop_early()
    # Read when torch is loaded. By default its threads spin so long that a step takes hundreds of
    # times longer on a busy machine; this limit costs almost nothing on an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", OPENMP_SPINS)


@main.command()
@setting_option("--host", "Address to listen on.")
@setting_option("--port", "Port to listen on; 0 takes a free one.")
@setting_option("--metrics-port", "Port of /metrics alone, without a key.")
@setting_option("--max-trajectories", "Bound of the queue, in trajectories.")
@setting_option("--max-backlog-s", "Bound of the time before a new request.")
@setting_option("--keys", "File of API keys; see gram-server key.")
@engine_options
def serve(**flags: Any) -> None:
    """Run the HTTP server with one worker beside it, or with --store for workers elsewhere."""
    from gram_server.server import serve as run

    settings = _settings(flags)
    run(settings)


@main.command()
@click.option("--link", type=click.Path(path_type=Path), help="Socket of an API process.")
@click.option("--heartbeat", type=click.Path(path_type=Path), help="File to write.")
@setting_option("--metrics-port", "Port of its metrics.", name="worker_metrics_port")
@setting_option("--metrics-host", "Address.", name="worker_metrics_host")
@engine_options
def worker(link: Path | None, heartbeat: Path | None, **flags: Any) -> None:
    """Run one worker on one device: solve the jobs in Redis, or of one API process."""
    from gram_server.worker import run_worker

    settings = _settings(flags, inherited=None if link is None else os.environ.get(WORKER_SETTINGS))
    if (link is None) == (settings.redis.store is None):
        raise click.UsageError("name either --store or --link")
    run_worker(settings, link=link, heartbeat=heartbeat)


@main.command()
@setting_option("--host", "Address a server would listen on.")
@setting_option("--port", "Its port.")
@setting_option("--keys", "Its file of API keys.")
@engine_options
def doctor(**flags: Any) -> None:
    """Say as JSON what this machine can do, and what is wrong; exit status 1 if anything is."""
    from gram_server.doctor import examine, is_fit

    findings = examine(_settings(flags))
    click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    sys.exit(0 if is_fit(findings) else 1)


@main.command()
@click.option("--pid", type=int, help="Process to ask about; without it the first that serves.")
@click.option("--timeout-s", type=float, default=2.0, show_default=True, help="Time to answer.")
def healthcheck(pid: int | None, timeout_s: float) -> None:
    """Say whether the server or worker of this container is well; exit status 1 if not."""
    from gram_server.healthcheck import ask_server, ask_worker, find_running

    running = find_running(pid)
    if running is None:
        raise click.ClickException("no gram-server serve and no gram-server worker runs here")
    with main.commands[running.role].make_context(running.role, list(running.arguments)) as context:
        flags = dict(context.params)
    flags.pop("link", None)
    flags.pop("print_config", None)
    heartbeat = flags.pop("heartbeat", None)
    settings = Settings.load(flags | {"models": flags["models"] or None})
    health = (
        ask_server(settings, timeout_s=timeout_s)
        if running.role == "serve"
        else ask_worker(settings, heartbeat, timeout_s=timeout_s)
    )
    shown = {"pid": running.pid, "role": running.role, **health._asdict()}
    click.echo(json.dumps(shown))
    sys.exit(0 if health.is_well else 1)


@main.command()
def models() -> None:
    """List the shipped models as JSON."""
    from gram_core.catalog import shipped_models

    names = ("id", "task", "purpose", "depth", "num_parameters")
    listed = [
        {**{name: getattr(model, name) for name in names}, "path": str(model.path)}
        for model in shipped_models()
    ]
    click.echo(json.dumps(listed, indent=2))


@main.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script that completes gram-server's words in SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "gram-server", "_GRAM_SERVER_COMPLETE").source())


@main.group()
def dlq() -> None:
    """Look after the dead letters: jobs that cost too many workers."""


@dlq.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, help="Letters at most.")
@store_options
def list_letters(limit: int, **flags: Any) -> None:
    """List the letters as JSON, newest first."""
    _with_letters(flags, lambda letters: letters.list(limit))


@dlq.command("show")
@click.argument("job_id")
@store_options
def show_letter(job_id: str, **flags: Any) -> None:
    """Show the letter about a job, with the job."""
    _with_letters(flags, lambda letters: letters.show(job_id))


@dlq.command("replay")
@click.argument("job_id")
@store_options
def replay_letter(job_id: str, **flags: Any) -> None:
    """Queue a job again under its id, and drop its letter."""
    _with_letters(flags, lambda letters: letters.replay(job_id))


@dlq.command("purge")
@click.argument("job_id", required=False)
@click.option("--all", "is_all", is_flag=True, help="Drop every letter.")
@store_options
def purge_letters(job_id: str | None, is_all: bool, **flags: Any) -> None:
    """Drop the letter about a job, or all; prints how many."""
    if (job_id is None) != is_all:
        raise click.UsageError("name a job, or --all")
    _with_letters(flags, lambda letters: letters.purge(job_id))


@main.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["solve", "jobs", "admin"]),
    help="What the key is good for; repeat it for more.",
)
@click.option("--trajectories-per-s", type=float, help="What its owner may ask for on average.")
@click.option("--expires", help="Moment of its end, such as 2030-01-31T00:00:00+00:00.")
def key(name: str, scopes: tuple[str, ...], **limits: Any) -> None:
    """Make an API key: its entry for the file of --keys on stdout, the key itself on stderr."""
    from gram_server.api.keys import read_key

    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    entry: dict[str, object] = {"name": name, "sha256": digest, "scopes": list(scopes)}
    entry |= {field: value for field, value in limits.items() if value is not None}
    try:
        read_key(entry)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(json.dumps(entry))
    click.echo(f"the key, which is kept nowhere: {token}", err=True)


def _with_letters(flags: dict[str, Any], work: Callable[[Any], Awaitable[object]]) -> None:
    """Run ``work`` on the dead letters and print its result as JSON."""
    from gram_server.jobs.dead_letters import DeadLetters

    settings = Settings.load(flags)
    if settings.redis.store is None:
        raise click.UsageError("name the Redis: --store redis://…")

    async def run() -> object:
        letters = DeadLetters(settings)
        try:
            return await work(letters)
        finally:
            await letters.close()

    click.echo(json.dumps(asyncio.run(run()), indent=2))


def _settings(flags: dict[str, Any], *, inherited: str | None = None) -> Settings:
    """Return settings and set up the log; ``inherited`` are those of a parent server, as JSON."""
    flags["models"] = flags["models"] or None
    is_printed = flags.pop("print_config", False)
    settings = Settings.load(flags) if inherited is None else Settings.from_json(inherited)
    if is_printed:
        echo_settings(settings)
        sys.exit(0)
    set_up_logging(settings.log_level, hidden=secret_texts(settings))
    click.get_current_context().meta[LOGGING] = True
    return settings


if __name__ == "__main__":
    main()
