"""Sends a load and records each request's latencies from its scheduled moment.

One client for all servers: it reads a stream of events or a whole answer. Waiting for a
connection counts as latency.
"""

import asyncio
import gc
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gram_lab.bench.questions import Question

Form = Literal["query", "body"]
"""Where options are sent: ``query`` (gram-server), or ``body``, with the puzzle."""
End = Literal["solved", "unsolved", "refused", "failed", "late"]
REFUSED = (429, 503)
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server and how to ask it."""

    url: str
    form: Form = "query"
    timeout_s: float = 60.0
    """Time after which the client gives up."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request; moments in seconds since the start of the load."""

    task: str
    width: int
    scheduled_s: float
    sent_s: float
    first_s: float | None
    """When the first solution arrived."""
    end_s: float
    status: int
    """HTTP status; 0 without an answer."""
    end: End
    retry_after_s: float | None = None


class Load(NamedTuple):
    """Results of a load."""

    records: list[Record]
    wall_s: float
    client_cpu_s: float


class _Answer(NamedTuple):
    status: int
    end: End
    first_s: float | None = None
    """On the client's clock."""
    retry_after_s: float | None = None


async def offer(target: Target, questions: Sequence[Question], moments: Sequence[float]) -> Load:
    """Send question i at ``moments[i]``; wait for every answer."""
    timeout = aiohttp.ClientTimeout(total=target.timeout_s)
    # Below every server's keep-alive, so that no reused connection is closed.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0)
    # A collection during the load would look like a slow server.
    gc.collect()
    gc.freeze()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        asked: list[asyncio.Task[Record]] = []
        for number, moment_s in enumerate(moments):
            await asyncio.sleep(max(0.0, started_s + moment_s - time.perf_counter()))
            question = questions[number % len(questions)]
            asked.append(asyncio.create_task(_ask(session, target, question, started_s, moment_s)))
        records = await asyncio.gather(*asked)
        return Load(records, time.perf_counter() - started_s, time.process_time() - started_cpu_s)


async def _ask(
    session: aiohttp.ClientSession,
    target: Target,
    question: Question,
    started_s: float,
    moment_s: float,
) -> Record:
    sent_s = time.perf_counter()
    try:
        answer = await _answer(session, target, question)
    except TimeoutError:
        answer = _Answer(0, "late")
    except (aiohttp.ClientError, ConnectionError, ValueError):
        answer = _Answer(0, "failed")
    return Record(
        task=question.task,
        width=question.width,
        scheduled_s=moment_s,
        sent_s=sent_s - started_s,
        first_s=None if answer.first_s is None else answer.first_s - started_s,
        end_s=time.perf_counter() - started_s,
        status=answer.status,
        end=answer.end,
        retry_after_s=answer.retry_after_s,
    )


async def _answer(session: aiohttp.ClientSession, target: Target, question: Question) -> _Answer:
    options = {"width": question.width, "seed": question.seed, "max_solutions": 1}
    is_query = target.form == "query"
    async with session.post(
        f"{target.url}/solve",
        params=options if is_query else None,
        json=question.body if is_query else {**question.body, **options},
        headers={"Accept": EVENT_STREAM, **dict(target.headers)},
    ) as response:
        if response.status in REFUSED:
            wait_s = response.headers.get("Retry-After")
            retry_after_s = None if wait_s is None else float(wait_s)
            return _Answer(response.status, "refused", retry_after_s=retry_after_s)
        if response.status != 200:
            return _Answer(response.status, "failed")
        first_s: float | None = None
        if response.content_type != EVENT_STREAM:
            if json.loads(await response.read())["solutions"]:
                first_s = time.perf_counter()
        else:
            last = ""
            async for line in response.content:
                if line.startswith(b"event:"):
                    last = line.removeprefix(b"event:").strip().decode()
                    if last == "solution" and first_s is None:
                        first_s = time.perf_counter()
            if last != "done":
                return _Answer(200, "failed", first_s)
        return _Answer(200, "unsolved" if first_s is None else "solved", first_s)


async def scrape(url: str, headers: Sequence[tuple[str, str]] = ()) -> list[Sample]:
    """Return the server's metrics; none where it has none."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"{url}/metrics", headers=dict(headers)) as response:
                text = await response.text() if response.status == 200 else ""
        except aiohttp.ClientError:
            return []
    return [each for family in text_string_to_metric_families(text) for each in family.samples]
