"""Times the native step of a shipped model by threads, in turns, also beside busy loops, as JSON.

Beside busy loops turns should be long (``--steps``): threads that lost time share nothing for a
while, which should not pass in the turn of another number.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gram_core.bound_step import bind_step
from gram_core.catalog import find_model
from gram_core.checkpoint import load_model
from gram_kernels.tokens import BLANK


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sudoku-9x9")
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 2, 3, 16])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=20, help="of each width and number")
    parser.add_argument("--steps", type=int, default=20, help="of each turn")
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside it")
    options = parser.parse_args()
    with busy_loops(options.busy):
        for width in options.widths:
            found = times_ms(options.model, width, options.threads, options.turns, options.steps)
            sys.stdout.write(json.dumps({"width": width, **found}) + "\n")


def times_ms(
    model: str, width: int, threads: list[int], num_turns: int, num_steps: int
) -> dict[str, object]:
    """Return median and mean milliseconds of a step for each number of threads."""
    loaded = load_model(find_model(model))
    bound = bind_step(loaded.model, loaded.task, num_slots=width, num_rows=width, backend="native")
    bound.rows.givens.fill_(BLANK)
    bound.rows.keys[1] = torch.arange(width)
    bound.rows.num_live.fill_(width)
    times: dict[int, list[float]] = {num_threads: [] for num_threads in threads}
    for turn in range(num_turns * len(threads)):
        num_threads = threads[turn % len(threads)]
        torch.set_num_threads(num_threads)
        for _ in range(num_steps):
            started_s = time.perf_counter()
            bound.advance(width)
            times[num_threads].append((time.perf_counter() - started_s) * 1e3)
    return {
        "median_ms": {num: round(statistics.median(each), 4) for num, each in times.items()},
        "mean_ms": {num: round(statistics.fmean(each), 4) for num, each in times.items()},
    }


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Run processes that want a processor each."""
    command = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main()
