"""``gram submit``, ``watch``, ``jobs``, ``show``, ``cancel``: jobs that need no client."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import click

from gram_client._client import Client
from gram_client._drawing import PuzzleShape
from gram_client._events import Accepted, AnyEvent, Found, PartEnded, Progress
from gram_client._job_models import Job, JobSummary
from gram_client._options import JobOptions
from gram_client._retry import DEFAULT_PATIENCE_S, Patience
from gram_client.cli.batches import hand_in
from gram_client.cli.display import Screen, painted, show_result, summary
from gram_client.cli.options import flags_of, say, wants_json, with_client
from gram_client.cli.puzzle_files import named, puzzle_arguments
from gram_files import Entry, Item

MAX_PAGE = 200
"""Jobs that a server lists at once."""


@click.command(
    epilog="\b\nExamples:\n  gram submit puzzles.sdm --priority low\n"
    "  gram watch $(gram submit hard.txt --width 256 | jq -r .id)"
)
@puzzle_arguments
@flags_of(JobOptions)
@click.option("--key", "idempotency_key", help="The same key stands for the same job.")
@click.option(
    "--patience-s", default=DEFAULT_PATIENCE_S, help="Go on asking a busy server for so long."
)
@with_client
def submit(
    *,
    puzzles: Sequence[Item],
    client: Client,
    is_json: bool | None,
    patience_s: float,
    **options: Any,
) -> None:
    """Hand in each PUZZLE as a job, many as one batch.

    More than the server takes at once become several batches. The job goes on by itself: watch
    it, or ask for it later.
    """
    entries = [each for each in puzzles if isinstance(each, Entry)]
    status = 0 if len(entries) == len(puzzles) else 2
    for each in puzzles:
        if not isinstance(each, Entry):
            click.echo(f"gram: {each}", err=True)
    for part, outcome in hand_in(client, entries, options, Patience(patience_s)):
        if isinstance(outcome, Job):
            _show_job(outcome, is_json=wants_json(is_json))
            if len(part) < len(entries):
                click.echo(f"{outcome.id}: {part[0].source} to {part[-1].source}", err=True)
        else:
            status = 2
            say(outcome, source=named(part[0]))
    raise SystemExit(status)


@click.command(epilog="\b\nExamples:\n  gram watch 5f0c1f3c9a3b4d0f8b1d7c6e2a4f9b10")
@click.argument("job_id")
@click.option("--after", default=0, help="Go on after the event of this id.")
@with_client
def watch(*, job_id: str, after: int, client: Client, is_json: bool | None) -> None:
    """Follow a job to its end; leaving does not end it."""
    _follow(client.jobs.events(job_id, after=after), is_json=wants_json(is_json))
    raise SystemExit(0 if client.jobs.get(job_id).is_solved else 1)


@click.command(epilog="\b\nExamples:\n  gram jobs --limit 100 --json")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Jobs at most."
)
@with_client
def jobs(*, limit: int, client: Client, is_json: bool | None) -> None:
    """List the jobs of the API key, newest first."""
    for job in islice(client.jobs.all(limit=min(limit, MAX_PAGE)), limit):
        what = f", {job.puzzle}, width {job.width}, {job.submitted_at}"
        _show_job(job, what, is_json=wants_json(is_json))


@click.command(epilog="\b\nExamples:\n  gram show 5f0c1f3c9a3b4d0f8b1d7c6e2a4f9b10")
@click.argument("job_id")
@with_client
def show(*, job_id: str, client: Client, is_json: bool | None) -> None:
    """Show a job and its result.

    Exit status 1: it has ended without a solution.
    """
    job = client.jobs.get(job_id)
    _show_job(job, is_json=wants_json(is_json))
    if not wants_json(is_json):
        for part in job.parts or (job,):
            if job.parts:
                _show_job(part, is_json=False)
            if part.error is not None:
                click.echo(f"gram: {part.error.detail}", err=True)
            if part.result is not None:
                show_result(part.result)
    raise SystemExit(int(job.is_final and not job.is_solved))


@click.command(epilog="\b\nExamples:\n  gram cancel 5f0c1f3c9a3b4d0f8b1d7c6e2a4f9b10")
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@with_client
def cancel(*, job_ids: Sequence[str], client: Client, is_json: bool | None) -> None:
    """End jobs that are not final yet; final ones stay as they are."""
    for job_id in job_ids:
        _show_job(client.jobs.cancel(job_id), is_json=wants_json(is_json))


def _show_job(job: JobSummary, what: str = "", *, is_json: bool) -> None:
    if is_json:
        click.echo(job.model_dump_json())
        return
    parts = "" if job.batch is None else f", {job.batch.finished} of {job.batch.size} puzzles done"
    click.echo(f"{job.id} {job.state}{parts}{what}")


def _follow(events: Iterable[AnyEvent], *, is_json: bool) -> None:
    screen = Screen(PuzzleShape())
    for event in events:
        if is_json:
            data = event.model_dump(mode="json", exclude={"id"})
            click.echo(json.dumps({"id": event.id, "event": event.kind, "data": data}))
            continue
        if isinstance(event, Accepted):
            screen = Screen(PuzzleShape(puzzle=event.puzzle))
            click.echo(f"{event.puzzle}, width {event.width}, seed {event.seed}, {event.model}")
        elif isinstance(event, Progress):
            screen.show(event)
        elif isinstance(event, PartEnded):
            click.echo(f"{event.job_id} {event.state}")
        elif isinstance(event, Found):
            first = event.solution.first
            how = "exact search" if first is None else f"step {first.step}"
            screen.clear()
            click.echo(f"solution, {how}\n{painted(event.solution)}")
        elif event.result is not None:
            click.echo(summary(event.result))
