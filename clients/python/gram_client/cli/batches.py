"""Hands in any number of puzzles, in batches that the server takes."""

import hashlib
import json
import re
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import click

from gram_client._client import Client
from gram_client._errors import GramError, StatusError
from gram_client._job_models import Job
from gram_client._retry import Patience, is_busy
from gram_files import Entry

NUM_SMALL = 32
"""A batch of so many waits for a busy server; a larger one is halved."""
INSTANCE = re.compile(r"instances\[(\d+)\]")

Part = Sequence[Entry]


def hand_in(
    client: Client, entries: Part, options: Mapping[str, Any], patience: Patience
) -> Generator[tuple[Part, Job | GramError]]:
    """Yield a job for every batch, and the refusal of each puzzle that is refused."""
    waiting = [entries]
    while waiting:
        part = waiting.pop()
        try:
            job = _create(client, part, options, is_whole=len(part) == len(entries))
        except GramError as error:
            number = _number_of(error, part)
            if is_busy(error) and len(part) <= NUM_SMALL:
                delay_s = patience.delay_s(error)
                if delay_s is None:
                    _tell_rest([part, *waiting])
                    raise
                time.sleep(delay_s)
                waiting.append(part)
            elif not is_busy(error) and _meets_every_puzzle(error, part):
                _tell_rest([part, *waiting])
                raise
            elif number is None:
                half = len(part) // 2
                waiting += [part[half:], part[:half]]
            else:
                yield part[number : number + 1], error
                rest = [*part[:number], *part[number + 1 :]]
                waiting += [rest] if rest else []
        else:
            patience.waited_s = 0.0
            yield part, job


def _create(client: Client, part: Part, options: Mapping[str, Any], *, is_whole: bool) -> Job:
    key = options.get("idempotency_key")
    if key is not None and not is_whole:
        # The same puzzles of the same file are the same batch.
        content = json.dumps([entry.puzzle for entry in part])
        digest = hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()
        options = {**options, "idempotency_key": f"{key}-{digest[:16]}"}
    if len(part) == 1:
        return client.jobs.create(part[0], **options)
    return client.jobs.create_batch(part, **options)


def _number_of(error: GramError, part: Part) -> int | None:
    """Return the number of the puzzle that a refusal is about, where that is known."""
    issues = error.errors if isinstance(error, StatusError) else ()
    fields = (INSTANCE.match(issue.field) for issue in issues)
    number = next((int(field[1]) for field in fields if field), None)
    if len(part) == 1:
        return 0
    return number if number is not None and number < len(part) else None


def _meets_every_puzzle(error: GramError, part: Part) -> bool:
    """Return whether no puzzle will be taken, rather than not this one, or not so many."""
    if not isinstance(error, StatusError) or error.status_code in (401, 403, 409):
        return True
    # Together puzzles may have too many trajectories.
    is_width = any(issue.field == "width" for issue in error.errors)
    return error.code == "parameter_invalid" and (len(part) == 1 or not is_width)


def _tell_rest(waiting: Sequence[Part]) -> None:
    """Say, before an error that ends the command, what was not handed in."""
    num_puzzles = sum(map(len, waiting))
    if num_puzzles > 1:
        text = f"gram: {num_puzzles} puzzles are not handed in, from {waiting[0][0].source} on"
        click.echo(text, err=True)
