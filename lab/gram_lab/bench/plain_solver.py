"""The same weights without an engine: requests side by side in one batch, to its common end.

As generous as a batch can be: it ends as soon as every request in it has its first solution. Used
by the naive loop, one request a time, and by LitServe's dynamic batches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.model import answer
from gram_core.puzzles import Symmetry, Tokens
from gram_core.solve import rollout, unit_tables
from gram_core.views import through, view
from gram_kernels.verify import verify
from gram_lab.bench.questions import Question

Json = dict[str, Any]
OPTIONS = ("width", "seed", "max_solutions")


@dataclass(slots=True)
class _Row:
    """One trajectory of one request."""

    request: int
    trajectory: int
    symmetry: Symmetry | None


class PlainSolver:
    """Models and a loop."""

    def __init__(self, models: Sequence[str], *, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        loaded = [load_model(find_model(name)) for name in models]
        self._models = {model.task.name: model for model in loaded}
        for model in loaded:
            family = puzzles.family(model.task.family)
            instance = family.generate(model.task, np.random.default_rng(1), num_solutions=None)
            self.solve([{**family.dump(instance), "width": 8, "seed": 1}])

    def solve(self, requests: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Return an answer for each request."""
        read = [_Request.read(request) for request in requests]
        answers: list[Json] = [{"solutions": []} for _ in read]
        for name in {request.task for request in read}:
            numbers = [number for number, request in enumerate(read) if request.task == name]
            found = _solve_batch(self._models[name], [read[number] for number in numbers])
            for number, solution in zip(numbers, found, strict=True):
                if solution is not None:
                    answers[number]["solutions"].append({"answer": solution})
        return answers


def solvable(
    questions: Sequence[Question], models: Sequence[str], *, num_threads: int
) -> list[Question]:
    """Return questions that the plain loop solves, so that only time decides, in their order."""
    solver = PlainSolver(models, num_threads=num_threads)
    return [
        question
        for question in questions
        if solver.solve([{**question.body, "width": question.width, "seed": question.seed}])[0][
            "solutions"
        ]
    ]


@dataclass(frozen=True, slots=True)
class _Request:
    family: puzzles.AnyFamily
    task: str
    instance: Any
    width: int
    seed: int

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> "_Request":
        body = {name: value for name, value in request.items() if name not in OPTIONS}
        family = puzzles.family(body["puzzle"])
        instance = family.parse(body)
        task = family.task_of(instance).name
        return cls(family, task, instance, int(request["width"]), int(request["seed"]))


@torch.inference_mode()
def _solve_batch(loaded: LoadedModel, requests: Sequence[_Request]) -> list[object | None]:
    """Run every trajectory of the requests until each request has a solution, or to the depth."""
    rows = [
        _Row(number, index, view(request.family, loaded.task, request.seed, index))
        for number, request in enumerate(requests)
        for index in range(request.width)
    ]
    encoded = [request.family.encode(request.instance) for request in requests]
    seen = [through(encoded[row.request], row.symmetry) for row in rows]
    givens = torch.as_tensor(np.stack([each.tokens for each in seen])).long()
    graphs = [each.adjacency for each in seen if each.adjacency is not None]
    adjacency = torch.as_tensor(np.stack(graphs)) if graphs else None
    found: list[object | None] = [None] * len(requests)
    tables = unit_tables(loaded.task)
    steps = rollout(
        loaded.model,
        givens,
        torch.tensor([requests[row.request].seed for row in rows]),
        torch.tensor([row.trajectory for row in rows]),
        depth=loaded.info.depth,
        adjacency=adjacency,
    )
    for output in steps:
        current = answer(output.logits, givens, allows_blank=loaded.task.allows_blank)
        verification = verify(current, givens, tables, adjacency=adjacency)
        _take(found, requests, rows, current, verification.is_valid)
        if all(solution is not None for solution in found):
            break
    return found


def _take(
    found: list[object | None],
    requests: Sequence[_Request],
    rows: Sequence[_Row],
    answers: Tensor,
    is_valid: Tensor,
) -> None:
    for place in is_valid.nonzero().flatten().tolist():
        row = rows[place]
        if found[row.request] is None:
            request = requests[row.request]
            tokens: Tokens = answers[place].numpy().astype(np.uint8)
            tokens = tokens if row.symmetry is None else row.symmetry.invert(tokens)
            if request.family.check(request.instance, tokens):
                found[row.request] = request.family.decode(request.instance, tokens)
