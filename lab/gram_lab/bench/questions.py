"""Questions of a load: a weighted mix of tasks and widths, and files to replay it.

A file has one JSON object a line: ``task``, ``body``, ``width`` and ``seed``.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gram_core import puzzles
from gram_lab.data.instances import read_cases
from gram_server.errors import ConfigError

SEED_BITS = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request: a puzzle, its width and its seed."""

    task: str
    body: dict[str, Any] = field(hash=False)
    width: int
    seed: int


class Share(NamedTuple):
    """One part of a mix."""

    task: str
    widths: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionOptions:
    """What to ask."""

    mix: str = "sudoku-9x9:1-64=1,nqueens-8:1-64=1"
    """Tasks, widths and weights, as sudoku-9x9:1-64=2,nqueens-8:16=1."""
    num_questions: int = 200
    data: Path | None = None
    """Puzzles of the first task of the mix."""
    seed: int = 0

    def draw(self) -> list[Question]:
        return draw_questions(
            read_mix(self.mix), self.num_questions, seed=self.seed, data=self.data
        )


def read_mix(text: str) -> tuple[Share, ...]:
    """Read ``sudoku-9x9:16=3,nqueens-8:1-64=1``: task, width or powers of two in a range, weight.

    The default weight is 1.
    """
    shares = []
    for part in text.split(","):
        what, _, weight = part.strip().partition("=")
        task, _, widths = what.partition(":")
        low, _, high = (widths or "16").partition("-")
        try:
            first, last = int(low), int(high or low)
            powers = tuple(2**power for power in range(31) if first <= 2**power <= last)
            share = Share(task, (first,) if first == last else powers, float(weight or 1))
        except ValueError as error:
            raise ConfigError("mix", part, "must be like sudoku-9x9:1-64=2") from error
        if not task or not share.widths or share.weight <= 0:
            raise ConfigError("mix", part, "must be like sudoku-9x9:1-64=2")
        shares.append(share)
    return tuple(shares)


def draw_questions(
    mix: Sequence[Share], count: int, *, seed: int, data: Path | None = None
) -> list[Question]:
    """Return ``count`` questions, each with its own puzzle and seed.

    ``data`` holds puzzles for the first task of the mix, as for ``gram-lab evaluate``; all other
    puzzles are held-out or freshly generated ones.
    """
    rng = np.random.default_rng(seed)
    weights = np.array([share.weight for share in mix])
    chosen = [mix[at] for at in rng.choice(len(mix), size=count, p=weights / weights.sum())]
    bodies: dict[str, list[dict[str, Any]]] = {}
    for name in dict.fromkeys(share.task for share in mix):
        task = puzzles.task(name)
        needed = sum(share.task == name for share in chosen)
        cases = read_cases(task, None if bodies else data, limit=max(needed, 1))
        bodies[name] = [puzzles.family(task.family).dump(case.instance) for case in cases]
        rng.shuffle(bodies[name])
    questions = []
    for share in chosen:
        queue = bodies[share.task]
        queue.append(body := queue.pop(0))
        width = share.widths[rng.integers(len(share.widths))]
        drawn = int(rng.integers(2**SEED_BITS))
        questions.append(Question(task=share.task, body=body, width=width, seed=drawn))
    return questions


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    lines = (json.dumps(asdict(question)) for question in questions)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def describe(questions: Sequence[Question]) -> dict[str, object]:
    kinds = Counter(f"{question.task}, width {question.width}" for question in questions)
    return {"count": len(questions), "kinds": dict(sorted(kinds.items()))}
