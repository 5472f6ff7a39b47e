"""What streaming costs the engine: the same jobs without a stream, with one, and with decodes.

A real server answers over HTTP, and the three ways take turns, so that a slow moment of the
machine hits all of them alike. Every way takes the same supervision steps: answers depend on the
seed alone.
"""

import http.client
import json
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_server.errors import ConfigError, NotReady

Json = dict[str, Any]

WAYS = ("plain", "solutions", "decodes")
"""How a request is sent: without a stream, with one, with one that shows trajectories."""
MAX_COST = {"solutions": 0.05, "decodes": 0.10}
"""Share of the engine's throughput that each may take."""
START_S = 120.0
REQUEST_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingPlan:
    """What to measure."""

    models: tuple[str, ...] = ("sudoku-9x9", "nqueens-8")
    num_puzzles: int = 8
    num_rounds: int = 7
    num_clients: int = 4
    width: int = 32
    depth: int = 16
    halt: str = "never"
    """Every trajectory goes to its depth, so that a round is long enough to be timed."""
    decodes: int = 16
    num_threads: int = 1

    def __post_init__(self) -> None:
        """Refuse counts that cannot be run."""
        counts = (self.num_puzzles, self.num_rounds, self.num_clients, self.decodes)
        if min(counts) < 1:
            raise ConfigError("num_rounds", counts, "every count must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one round of requests came to."""

    wall_s: float
    supervision_steps: int
    num_events: int

    @property
    def steps_per_s(self) -> float:
        """The engine's throughput."""
        return self.supervision_steps / self.wall_s


def measure_streaming(plan: StreamingPlan) -> Json:
    """Measure every model in turn; return every raw number."""
    return {
        "environment": {
            **asdict(plan),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
        },
        "limits": MAX_COST,
        "results": [_measure_model(plan, model) for model in plan.models],
    }


def _measure_model(plan: StreamingPlan, model: str) -> Json:
    bodies = _bodies(model, plan.num_puzzles)
    rounds: dict[str, list[Answers]] = {way: [] for way in WAYS}
    with _server(model, plan.num_threads) as address:
        _ask_all(plan, address, bodies[: plan.num_clients], "decodes")
        for number in range(plan.num_rounds):
            turn = number % len(WAYS)
            for way in WAYS[turn:] + WAYS[:turn]:
                rounds[way].append(_ask_all(plan, address, bodies, way))
    costs = {way: _cost(rounds["plain"], rounds[way]) for way in MAX_COST}
    return {
        "model": model,
        "rounds": {
            way: [asdict(answers) | {"steps_per_s": answers.steps_per_s} for answers in told]
            for way, told in rounds.items()
        },
        "steps_per_s": {
            way: statistics.median(answers.steps_per_s for answers in told)
            for way, told in rounds.items()
        },
        "cost": costs,
        "is_within_limits": {way: costs[way] <= MAX_COST[way] for way in MAX_COST},
    }


def _cost(plain: Sequence[Answers], streamed: Sequence[Answers]) -> float:
    """Return the share of throughput lost: the median over rounds, each against its own plain."""
    pairs = zip(plain, streamed, strict=True)
    return statistics.median(1.0 - one.steps_per_s / base.steps_per_s for base, one in pairs)


def _bodies(model: str, count: int) -> list[bytes]:
    """Return instances of the model's task, as requests have them."""
    task = puzzles.task(find_model(model).task)
    family = puzzles.family(task.family)
    rng = np.random.default_rng(0)
    instances = (family.generate(task, rng, num_solutions=None) for _ in range(count))
    return [json.dumps(family.dump(instance)).encode() for instance in instances]


def _ask_all(plan: StreamingPlan, address: str, bodies: Sequence[bytes], way: str) -> Answers:
    started_s = time.perf_counter()
    with ThreadPoolExecutor(plan.num_clients) as pool:
        told = list(pool.map(lambda body: _ask(plan, address, body, way), bodies))
    return Answers(
        wall_s=time.perf_counter() - started_s,
        supervision_steps=sum(steps for steps, _ in told),
        num_events=sum(count for _, count in told),
    )


def _ask(plan: StreamingPlan, address: str, body: bytes, way: str) -> tuple[int, int]:
    """Send one request; return the supervision steps it took and the events that came."""
    query: Json = {"width": plan.width, "depth": plan.depth, "halt": plan.halt, "seed": 1}
    if way == "decodes":
        query["decodes"] = plan.decodes
    headers = {"Content-Type": "application/json"}
    if way != "plain":
        headers["Accept"] = "text/event-stream"
    connection = http.client.HTTPConnection(address, timeout=REQUEST_S)
    try:
        connection.request("POST", f"/solve?{urlencode(query)}", body, headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise NotReady(f"the server answered {response.status}: {text[:200]}")
    lines = text.splitlines()
    events = [line for line in lines if line.startswith("data: ")]
    answer = json.loads(events[-1].removeprefix("data: ") if events else text)
    return int(answer["usage"]["supervision_steps"]), len(events)


@contextmanager
def _server(model: str, num_threads: int) -> Iterator[str]:
    """Run a server with one model; yield its address once it takes work."""
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0", "--model", model]
    command += ["--num-threads", str(num_threads), "--max-trajectories", "65536"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    found: list[str] = []
    reader = threading.Thread(target=_find_address, args=(process, found), daemon=True)
    reader.start()
    try:
        _wait_until_ready(process, found)
        yield found[0]
    finally:
        process.terminate()
        process.wait()
        reader.join()


def _find_address(process: "subprocess.Popen[str]", found: list[str]) -> None:
    """Read the server's log to its end, so that it never waits for a reader."""
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if not line.startswith("{"):
                continue
            message = json.loads(line).get("message", "")
            if message.startswith("listening on "):
                found.append(urlsplit(message.removeprefix("listening on ")).netloc)


def _wait_until_ready(process: "subprocess.Popen[str]", found: list[str]) -> None:
    give_up_s = time.monotonic() + START_S
    while time.monotonic() < give_up_s:
        if process.poll() is not None:
            raise NotReady(f"the server ended with status {process.returncode}")
        if found and _is_ready(found[0]):
            return
        time.sleep(0.1)
    raise NotReady(f"the server was not ready after {START_S:.0f} s")


def _is_ready(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=10.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def render_streaming(result: Json) -> str:
    """Return the result as a short Markdown page."""
    environment, limits = result["environment"], result["limits"]
    lines = [
        "# What streaming costs the engine",
        "",
        "{num_puzzles} puzzles by {num_clients} clients, width {width}, depth {depth}, halt "
        "{halt}, {num_rounds} rounds of all three ways in turns; {num_threads} thread(s) of "
        "{processor}. Costs are medians over rounds.".format(**environment),
        "",
        "| model | plain, steps/s | streamed, steps/s | with decodes, steps/s | streaming costs "
        "| decodes cost |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['model']} | {row['steps_per_s']['plain']:.0f} "
        f"| {row['steps_per_s']['solutions']:.0f} | {row['steps_per_s']['decodes']:.0f} "
        f"| {row['cost']['solutions']:.1%} | {row['cost']['decodes']:.1%} |"
        for row in result["results"]
    ]
    lines.append("")
    lines.append(
        f"At most {limits['solutions']:.0%} and {limits['decodes']:.0%} are allowed; "
        f"decodes={environment['decodes']} were watched."
    )
    return "\n".join(lines) + "\n"
