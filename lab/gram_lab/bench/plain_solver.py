"""The same weights without an engine: requests share one batch until all are done."""

from collections.abc import Mapping, Sequence
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
        bodies = [
            {name: value for name, value in request.items() if name not in OPTIONS}
            for request in requests
        ]
        instances = [puzzles.family(body["puzzle"]).parse(body) for body in bodies]
        tasks = [
            puzzles.family(body["puzzle"]).task_of(instance).name
            for body, instance in zip(bodies, instances, strict=True)
        ]
        answers: list[Json] = [{"solutions": []} for _ in requests]
        for name in set(tasks):
            chosen = [number for number, each in enumerate(tasks) if each == name]
            found = self._solve_batch(
                self._tasks[name],
                [instances[number] for number in chosen],
                widths=[int(requests[number]["width"]) for number in chosen],
                seeds=[int(requests[number]["seed"]) for number in chosen],
            )
            for number, solution in zip(chosen, found, strict=True):
                if solution is not None:
                    answers[number]["solutions"].append({"answer": solution})
        return answers

    @staticmethod
    def _solve_batch(
        task: _Task, instances: Sequence[Any], *, widths: Sequence[int], seeds: Sequence[int]
    ) -> list[object | None]:
        """Return the first solution of each instance, decoded."""
        family = puzzles.family(task.loaded.task.family)
        encoded = [family.encode(instance) for instance in instances]
        depth = task.loaded.info.depth
        found = task.recorder.run(encoded, width=widths, depth=depth, seed=seeds, stops="first")
        solutions: list[object | None] = []
        for instance, at, tokens in zip(instances, found.first.at, found.first.tokens, strict=True):
            right = (row for row in tokens[at > 0] if family.check(instance, row))
            solution = next(right, None)
            solutions.append(None if solution is None else family.decode(instance, solution))
        return solutions


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
