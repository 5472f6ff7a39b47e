"""The same weights without an engine: requests share one batch until all are done."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import load_model
from gram_lab.bench.questions import Question
from gram_lab.rollouts import Recorder, Running

Json = dict[str, Any]
OPTIONS = ("width", "seed", "max_solutions")
MAX_ROWS = 2**16


class PlainSolver:
    """Solves batches in a plain loop; a batch ends once each request has its first solution."""

    def __init__(self, models: Sequence[str], *, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self._recorders: dict[str, tuple[Recorder, int]] = {}
        for name in models:
            loaded = load_model(find_model(name))
            task, family = loaded.task, puzzles.family(loaded.task.family)
            recorder = Recorder(loaded.model, task, Running(num_rows=MAX_ROWS))
            self._recorders[task.name] = recorder, loaded.info.depth
            known = family.generate(task, np.random.default_rng(1), num_solutions=None)
            self.solve([{**family.dump(known), "width": 8, "seed": 1}])

    def solve(self, requests: Sequence[Mapping[str, Any]]) -> list[Json]:
        answers: list[Json] = [{"solutions": []} for _ in requests]
        batches: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
        for number, request in enumerate(requests):
            body = {name: value for name, value in request.items() if name not in OPTIONS}
            family = puzzles.family(body["puzzle"])
            instance = family.parse(body)
            batches[family.task_of(instance).name].append((number, instance))
        for name, batch in batches.items():
            recorder, depth = self._recorders[name]
            family = recorder.family
            first = recorder.run(
                [family.encode(instance) for _, instance in batch],
                width=[int(requests[number]["width"]) for number, _ in batch],
                depth=depth,
                seed=[int(requests[number]["seed"]) for number, _ in batch],
                stops="first",
            ).first
            for (number, instance), at, tokens in zip(batch, first.at, first.tokens, strict=True):
                right = (row for row in tokens[at > 0] if family.check(instance, row))
                if (solution := next(right, None)) is not None:
                    answers[number]["solutions"] = [{"answer": family.decode(instance, solution)}]
        return answers


def solvable(
    questions: Sequence[Question], models: Sequence[str], *, num_threads: int
) -> list[Question]:
    """Return, in order, the questions that the plain loop solves, so that only time decides."""
    solver = PlainSolver(models, num_threads=num_threads)
    return [
        each
        for each in questions
        if solver.solve([{**each.body, "width": each.width, "seed": each.seed}])[0]["solutions"]
    ]
