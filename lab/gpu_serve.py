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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
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
        with running(ours, models=(), num_threads=2, log=Path(log.name), timeout_s=60.0) as server:
            url, questions = server.target.url, drawn.result()
            found = asyncio.run(loaded(url, questions, options.seconds, options.at_once))
        said = Path(log.name).read_text(encoding="utf-8")
    report = {"ready_s": server.ready_s, **found, "log": said[-2000:]}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found["wrong"] or found["failed"] else 0


@dataclass(slots=True)
class Tally:
    """What became of the requests."""

    counts: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    solved: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)

    async def ask(self, client: AsyncClient, question: Question) -> None:
        """Send one request and judge what comes back."""
        started_s = time.monotonic()
        self.asked[question.task] += 1
        try:
            result = await client.solve(question.body, width=question.width, seed=question.seed)
        except GramError as error:
            self.counts["failed"] += 1
            self.complaints.append(f"{question.task}: {error!r}"[:300])
            return
        self.durations.append(time.monotonic() - started_s)
        self.solved[question.task] += result.distinct > 0
        wrong = [s.answer for s in result.solutions if not is_right(question.body, s.answer)]
        self.counts["wrong"] += len(wrong)
        self.counts["answers"] += len(result.solutions)
        self.complaints.extend(f"{question.body}: {answer}"[:300] for answer in wrong)


async def loaded(
    url: str, questions: list[Question], seconds: float, at_once: int
) -> dict[str, Any]:
    """Keep requests under way for some seconds; return what became of them."""
    end_s, left, tally = time.monotonic() + seconds, cycle(questions), Tally()

    async def ask_on(client: AsyncClient) -> None:
        while time.monotonic() < end_s:
            await tally.ask(client, next(left))

    async with AsyncClient(url) as client:
        await asyncio.gather(*(ask_on(client) for _ in range(at_once)))
    durations = sorted(tally.durations)
    return {
        "seconds": seconds,
        "requests": len(durations),
        **{name: tally.counts[name] for name in ("answers", "wrong", "failed")},
        "complaints": tally.complaints[:5],
        "solved": {task: f"{tally.solved[task]} of {tally.asked[task]}" for task in tally.asked},
        "p50_ms": 1e3 * durations[len(durations) // 2] if durations else None,
        "p99_ms": 1e3 * durations[len(durations) * 99 // 100] if durations else None,
    }


def is_right(body: dict[str, Any], answer: Any) -> bool:
    """Return whether an answer solves the puzzle of a request."""
    return CHECKS[body["puzzle"]](body, answer)


def _is_sudoku(body: dict[str, Any], answer: str) -> bool:
    side = round(len(answer) ** 0.5)
    high = {4: 2, 6: 2, 9: 3}[side]
    wide = side // high
    rows = [answer[side * row : side * (row + 1)] for row in range(side)]
    boxes = [
        "".join(line[column : column + wide] for line in rows[row : row + high])
        for row in range(0, side, high)
        for column in range(0, side, wide)
    ]
    units = [*rows, *map("".join, zip(*rows, strict=True)), *boxes]
    keeps = all(given in (".", digit) for given, digit in zip(body["grid"], answer, strict=True))
    return keeps and all(set(unit) == set("123456789"[:side]) for unit in units)


def _is_queens(body: dict[str, Any], answer: list[list[int]]) -> bool:
    cells = {(row, column) for row, column in answer}
    lines = (
        {row for row, _ in cells},
        {column for _, column in cells},
        {row + column for row, column in cells},
        {row - column for row, column in cells},
    )
    fixed = {(row, column) for row, column in body.get("queens", [])}
    return fixed <= cells and all(len(line) == body["n"] for line in lines)


def _is_coloring(body: dict[str, Any], answer: list[int]) -> bool:
    fixed = body.get("fixed", {})
    return (
        len(answer) == body["vertices"]
        and all(0 <= color < body["colors"] for color in answer)
        and all(answer[first] != answer[second] for first, second in body["edges"])
        and all(answer[int(vertex)] == color for vertex, color in fixed.items())
    )


def _is_path(body: dict[str, Any], answer: list[list[int]]) -> bool:
    grid, cells = body["grid"], [(row, column) for row, column in answer]
    ends = [
        body.get(name) or _found(grid, letter) for name, letter in (("start", "S"), ("goal", "G"))
    ]
    steps = all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in pairwise(cells))
    is_free = all(grid[row][column] != MAZE_WALL for row, column in cells)
    is_whole = cells[0] == tuple(ends[0]) and cells[-1] == tuple(ends[1])
    return steps and is_free and is_whole and len(cells) - 1 == _distance(grid, *ends)


def _found(grid: list[str], letter: str) -> list[int]:
    return next([row, line.index(letter)] for row, line in enumerate(grid) if letter in line)


def _distance(grid: list[str], start: list[int], goal: list[int]) -> int:
    """Return the length of a shortest path, by waves from the start."""
    wave, seen, length = {tuple(start)}, {tuple(start)}, 0
    while wave and tuple(goal) not in wave:
        near = {(r + a, c + b) for r, c in wave for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))}
        wave = {
            (row, column)
            for row, column in near - seen
            if 0 <= row < len(grid)
            and 0 <= column < len(grid[0])
            and grid[row][column] != MAZE_WALL
        }
        seen |= wave
        length += 1
    return length


CHECKS = {
    "sudoku": _is_sudoku,
    "nqueens": _is_queens,
    "graph-coloring": _is_coloring,
    "maze": _is_path,
}

if __name__ == "__main__":
    sys.exit(main())
