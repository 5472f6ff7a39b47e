"""A server with every shipped model under load, each answer checked by rules written here.

    python lab/gpu_serve.py --device cuda:0 [--seconds 60] [--at-once 48]

Prints one JSON object; the exit status is 1 if an answer was wrong or a request got none.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

from gram_client import AsyncClient, GramError
from gram_lab.bench.questions import Question, draw_questions, read_mix
from gram_lab.bench.servers import CONTENDERS, OURS, running

MIX = (
    "sudoku-9x9:1-64=4,sudoku-6x6:16=1,sudoku-4x4:16=1,nqueens-8:1-64=2,nqueens-10:16=1,"
    "graph-coloring-8:1-64=2,graph-coloring-10:16=1,maze-30x30:4=1"
)
NUM_QUESTIONS = 300
MAZE_WALL = "#"


def main() -> int:
    """Return 1 if anything was wrong or lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--at-once", type=int, default=48, help="requests under way at a time")
    parser.add_argument("--mix", default=MIX)
    options = parser.parse_args()
    ours = CONTENDERS[OURS]
    ours = replace(ours, arguments=(*ours.arguments, "--device", options.device))
    with tempfile.NamedTemporaryFile(suffix=".log") as log, ThreadPoolExecutor(1) as pool:
        drawn = pool.submit(draw_questions, read_mix(options.mix), NUM_QUESTIONS, seed=5)
        with running(ours, models=(), num_threads=2, log=Path(log.name)) as server:
            url, questions = server.target.url, drawn.result()
            found = asyncio.run(loaded(url, questions, options.seconds, options.at_once))
        said = Path(log.name).read_text(encoding="utf-8")
    report = {"ready_s": server.ready_s, **found, "log": said[-2000:]}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found["wrong"] or found["failed"] else 0


async def loaded(
    url: str, questions: list[Question], seconds: float, at_once: int
) -> dict[str, Any]:
    """Keep requests under way for some seconds; return what became of them."""
    end_s, left = time.monotonic() + seconds, cycle(questions)
    counts = Counter(answers=0, wrong=0, failed=0)
    asked, solved = Counter[str](), Counter[str]()
    complaints: list[str] = []
    durations: list[float] = []

    async def ask_on(client: AsyncClient) -> None:
        while time.monotonic() < end_s:
            question, started_s = next(left), time.monotonic()
            body = question.body
            asked[question.task] += 1
            try:
                result = await client.solve(body, width=question.width, seed=question.seed)
            except GramError as error:
                counts["failed"] += 1
                complaints.append(f"{question.task}: {error!r}"[:300])
                continue
            durations.append(time.monotonic() - started_s)
            solved[question.task] += result.distinct > 0
            wrong = [each.answer for each in result.solutions if not is_right(body, each.answer)]
            counts.update(answers=len(result.solutions), wrong=len(wrong))
            complaints.extend(f"{body}: {answer}"[:300] for answer in wrong)

    async with AsyncClient(url) as client:
        await asyncio.gather(*(ask_on(client) for _ in range(at_once)))
    durations.sort()
    return {
        "seconds": seconds,
        "requests": len(durations),
        **counts,
        "complaints": complaints[:5],
        "solved": {task: f"{solved[task]} of {number}" for task, number in asked.items()},
        "p50_ms": 1e3 * durations[len(durations) // 2] if durations else None,
        "p99_ms": 1e3 * durations[len(durations) * 99 // 100] if durations else None,
    }


def is_right(body: dict[str, Any], answer: Any) -> bool:
    """Return whether an answer solves the puzzle of a request."""
    return CHECKS[body["puzzle"]](body, answer)


def is_sudoku(body: dict[str, Any], answer: str) -> bool:
    """Return whether every row, column and box holds every digit, and givens stay."""
    side = round(len(answer) ** 0.5)
    high = {4: 2, 6: 2, 9: 3}[side]
    units: dict[tuple[str, int], set[str]] = {}
    for cell, digit in enumerate(answer):
        row, column = divmod(cell, side)
        box = row // high * high + column // (side // high)
        for unit in (("row", row), ("column", column), ("box", box)):
            units.setdefault(unit, set()).add(digit)
    keeps = all(given in (".", digit) for given, digit in zip(body["grid"], answer, strict=True))
    return keeps and all(unit == set("123456789"[:side]) for unit in units.values())


def is_placing(body: dict[str, Any], answer: list[list[int]]) -> bool:
    """Return whether there is a queen on every row and column, and none attacks another."""
    cells = [(row, column) for row, column in answer]
    lines = zip(*((row, column, row + column, row - column) for row, column in cells), strict=True)
    fixed = {(row, column) for row, column in body.get("queens", [])}
    return fixed <= set(cells) and all(len(set(line)) == body["n"] for line in lines)


def is_coloring(body: dict[str, Any], answer: list[int]) -> bool:
    """Return whether every vertex has a colour, and no neighbour the same."""
    return (
        len(answer) == body["vertices"]
        and all(0 <= color < body["colors"] for color in answer)
        and all(answer[first] != answer[second] for first, second in body["edges"])
        and all(answer[int(vertex)] == color for vertex, color in body.get("fixed", {}).items())
    )


def is_shortest_path(body: dict[str, Any], answer: list[list[int]]) -> bool:
    """Return whether steps lead from start to goal over free cells, as few as can be."""
    signs = {
        (row, column): sign
        for row, line in enumerate(body["grid"])
        for column, sign in enumerate(line)
        if sign != MAZE_WALL
    }
    start, goal = (
        tuple(body.get(name) or next(cell for cell in signs if signs[cell] == letter))
        for name, letter in (("start", "S"), ("goal", "G"))
    )
    # By waves from the start.
    wave, seen, length = {start}, {start}, 0
    while wave and goal not in wave:
        near = {(r + a, c + b) for r, c in wave for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))}
        wave = (near & signs.keys()) - seen
        seen |= wave
        length += 1
    cells = [(row, column) for row, column in answer]
    steps = all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in pairwise(cells))
    is_whole = cells[0] == start and cells[-1] == goal and set(cells) <= signs.keys()
    return steps and is_whole and len(cells) - 1 == length


CHECKS: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "sudoku": is_sudoku,
    "nqueens": is_placing,
    "graph-coloring": is_coloring,
    "maze": is_shortest_path,
}

if __name__ == "__main__":
    sys.exit(main())
