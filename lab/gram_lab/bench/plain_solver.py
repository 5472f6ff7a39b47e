"""The same weights without an engine: requests share one batch until all are done."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_lab.bench.questions import Question
from gram_lab.rollouts import Recorder, Running

Json = dict[str, Any]
OPTIONS = ("width", "seed", "max_solutions")
MAX_ROWS = 2**16


class _Task(NamedTuple):
    loaded: LoadedModel
    recorder: Recorder


class PlainSolver:
    """Solves batches in a plain loop; a batch ends once each request has its first solution."""

    def __init__(self, models: Sequence[str], *, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self._tasks: dict[str, _Task] = {}
        for name in models:
            loaded = load_model(find_model(name))
            task, family = loaded.task, puzzles.family(loaded.task.family)
            recorder = Recorder(loaded.model, task, Running(num_rows=MAX_ROWS))
            self._tasks[task.name] = _Task(loaded, recorder)
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
            task = self._tasks[name]
            family = puzzles.family(task.loaded.task.family)
            first = task.recorder.run(
                [family.encode(instance) for _, instance in batch],
                width=[int(requests[number]["width"]) for number, _ in batch],
                depth=task.loaded.info.depth,
                seed=[int(requests[number]["seed"]) for number, _ in batch],
                stops="first",
            ).first
            for (number, instance), at, tokens in zip(batch, first.at, first.tokens, strict=True):
                right = (row for row in tokens[at > 0] if family.check(instance, row))
                for solution in islice(right, 1):
                    answers[number]["solutions"].append(
                        {"answer": family.decode(instance, solution)}
                    )
        return answers


def solvable(
    questions: Sequence[Question], models: Sequence[str], *, num_threads: int
) -> list[Question]:
    """Return, in order, the questions that the plain loop solves, so that only time decides."""
    solver = PlainSolver(models, num_threads=num_threads)
    asked = [{**each.body, "width": each.width, "seed": each.seed} for each in questions]
    return [
        question
        for question, request in zip(questions, asked, strict=True)
        if solver.solve([request])[0]["solutions"]
    ]
