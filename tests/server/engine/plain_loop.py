"""What jobs must answer by the plain loop of ``gram_core.solve``, without slots or neighbours."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_core.model import answer
from gram_core.solve import rollout, unit_tables
from gram_kernels.verify import verify
from gram_server.engine import EngineJob

WIDTH = 14
DEPTH = 8
ROWS = 8


@lru_cache
def instance_of(task_name: str, seed: int) -> Any:
    """Return an instance with one or two open cells, or a graph."""
    task = puzzles.task(task_name)
    family = puzzles.family(task.family)
    rng = np.random.default_rng(seed)
    instance = family.generate(task, rng, num_solutions=None)
    if task.has_adjacency:
        return instance
    grid = next(iter(family.enumerate(instance, limit=1))).astype(int) - 1
    grid[rng.choice(task.length, 1 + seed % 2, replace=False)] = 0
    return family.parse({"grid": grid.reshape(task.rows, task.columns).tolist()})


@dataclass(frozen=True)
class Case:
    task: str
    seed: int
    augment: bool
    width: int = WIDTH
    depth: int = DEPTH
    halt: Any = "verified"


@cache
def all_answers(
    loaded: LoadedModel, seed: int, augment: bool
) -> list[list[tuple[NDArray[np.uint8], float]]]:
    """Return every step's answers and values of all trajectories, by the plain loop."""
    task = loaded.task
    family = puzzles.family(task.family)
    encoded = family.encode(instance_of(task.name, seed))
    steps: list[list[tuple[NDArray[np.uint8], float]]] = [[] for _ in range(DEPTH)]
    for first in range(0, WIDTH, ROWS):
        indices = range(first, first + ROWS)
        view = family.views(task, seed)
        views = [view(index) if augment else None for index in indices]
        seen = [encoded.through(symmetry) for symmetry in views]
        graphs = [torch.from_numpy(each.adjacency) for each in seen if each.adjacency is not None]
        givens = torch.from_numpy(np.stack([each.tokens for each in seen])).long()
        outputs = rollout(
            loaded.model,
            givens,
            torch.full((ROWS,), seed),
            torch.tensor(indices),
            depth=DEPTH,
            adjacency=torch.stack(graphs) if graphs else None,
        )
        for step, output in zip(steps, outputs, strict=True):
            found = answer(output.logits, givens, allows_blank=task.allows_blank)
            rows = found.numpy().astype(np.uint8)
            step += [
                (row if symmetry is None else symmetry.invert(row), value)
                for row, symmetry, value in zip(rows, views, output.value.tolist(), strict=True)
            ]
    return steps


def engine_job(case: Case, name: str) -> EngineJob:
    task, instance = puzzles.task(case.task), instance_of(case.task, case.seed)
    family = puzzles.family(task.family)
    encoded = family.encode(instance)
    return EngineJob(
        id=name,
        tokens=encoded.tokens,
        adjacency=encoded.adjacency,
        width=case.width,
        depth=case.depth,
        seed=case.seed,
        halt=case.halt,
        view=family.views(task, case.seed) if case.augment else lambda trajectory: None,
        check=partial(family.check, instance),
        canonical=partial(family.canonical, instance),
    )


def expected_of(case: Case, loaded: LoadedModel) -> tuple[Any, int]:
    """Return what the plain loop's trajectories amount to, and the steps they are worth."""
    instance = instance_of(case.task, case.seed)
    family = puzzles.family(puzzles.task(case.task).family)
    groups: dict[bytes, list[tuple[int, int, float, bytes]]] = defaultdict(list)
    num_steps = 0
    for index in range(case.width):
        mine: dict[bytes, tuple[int, int, float, bytes]] = {}
        for step, answers in enumerate(all_answers(loaded, case.seed, case.augment), start=1):
            if step > case.depth or (mine and case.halt == "verified"):
                break
            num_steps += 1
            tokens, value = answers[index]
            if family.check(instance, tokens):
                key = family.canonical(instance, tokens)
                mine.setdefault(key, (step, index, value, tokens.tobytes()))
        for key, found in mine.items():
            groups[key].append(found)
    ranked = sorted(groups.values(), key=lambda group: (-len(group), min(group)[:2]))
    return [(len(group), *min(group)) for group in ranked], num_steps


def best_attempt(case: Case, loaded: LoadedModel) -> bytes:
    """Return the answer with the fewest violations after the full depth."""
    family = puzzles.family(puzzles.task(case.task).family)
    encoded = family.encode(instance_of(case.task, case.seed))
    results = all_answers(loaded, case.seed, case.augment)[-1][: case.width]
    answers = torch.from_numpy(np.stack([tokens for tokens, _ in results]).astype(np.int64))
    adjacency = encoded.adjacency
    violations = verify(
        answers,
        torch.from_numpy(encoded.tokens.astype(np.int64)).expand_as(answers),
        unit_tables(puzzles.task(case.task)),
        adjacency=None
        if adjacency is None
        else torch.from_numpy(adjacency).expand(len(answers), -1, -1),
    ).num_violations
    tokens, _ = results[int(violations.argmin())]
    return bytes(tokens.tobytes())
