"""One entry for each op: the shapes it is measured and compiled at, on fresh random inputs.

Shapes, tables and weights are those of models that are here. A case prepares its inputs once;
running it is one call of the op. Work is the formula's floating-point operations, and the least
number of bytes moved.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.flops import step_flops
from gram_core.solve import unit_tables
from gram_core.step_weights import step_weights
from gram_kernels import philox, slots
from gram_kernels.supervision_step import StepRows, bind
from gram_kernels.tokens import BLANK, FIRST_VALUE
from gram_kernels.verify import verify

SUDOKU, QUEENS, GRAPH = "sudoku-9x9", "nqueens-8", "graph-coloring-8"
NOISY = str(Path(__file__).parents[2] / "checkpoints/sudoku-9x9-denoising")
"""A model with noise in its input."""
EDGE_SHARE = 0.3


class Prepared(NamedTuple):
    """An op with its inputs in place."""

    run: Callable[[Any], object]
    """Takes one of ``backends``."""
    flop: float
    moved_bytes: float
    backends: tuple[str, ...] = ("reference", "triton")


class Case(NamedTuple):
    """One shape of an op; ``prepare`` takes device, dtype and number of trajectories."""

    name: str
    prepare: Callable[[str, torch.dtype, int], Prepared]


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """A folder of ``gram_kernels``, its test, and the shapes that matter."""

    tests: tuple[str, ...]
    """Files under ``tests/kernels``; if one fails, the op is not measured."""
    cases: tuple[Case, ...]


@cache
def model_of(name: str, device: str) -> LoadedModel:
    return load_model(find_model(name), device)


def _noise(
    draw: Callable[..., Tensor], name: str, device: str, dtype: torch.dtype, rows: int
) -> Prepared:
    config = model_of(name, device).model.config
    count = config.length * config.dim
    keys = [torch.arange(rows, device=device) + start for start in (2**40, 0, 3)]
    size = 4.0 if draw is philox.normals else 8.0
    return Prepared(
        lambda backend: draw(
            *keys, transition=0, stream=philox.GUIDANCE_STREAM, count=count, backend=backend
        ),
        flop=0.0,
        moved_bytes=size * rows * count,
    )


def _verify(name: str, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    task = model_of(name, device).task
    last, shape = FIRST_VALUE + task.num_values, (rows, task.length)
    answers = torch.randint(FIRST_VALUE, last, shape, device=device)
    givens, tables = torch.full_like(answers, BLANK), unit_tables(task).to(device)
    adjacency = None
    if task.has_adjacency:
        adjacency = torch.rand(*shape, task.length, device=device) < EDGE_SHARE
    return Prepared(
        lambda backend: verify(answers, givens, tables, adjacency=adjacency, backend=backend),
        flop=0.0,
        moved_bytes=16.0 * answers.numel() + (0 if adjacency is None else adjacency.numel()),
    )


def step_rows(name: str, device: str, rows: int) -> StepRows:
    loaded = model_of(name, device)
    task, dim = loaded.task, loaded.model.config.dim
    has_edges = task.has_adjacency
    batch = StepRows.allocate(rows, task.length, dim, has_adjacency=has_edges, device=device)
    batch.high.normal_()
    batch.low.normal_()
    batch.givens.random_(BLANK, task.vocabulary)
    batch.keys.random_(0, 1000)
    batch.num_live.fill_(rows)
    if batch.adjacency is not None:
        batch.adjacency.bernoulli_(EDGE_SHARE)
    return batch


def _compact(name: str, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    batch = step_rows(name, device, rows)
    order = torch.randperm(rows, device=device)
    sources, targets = order.chunk(2) if rows > 1 else (order, order)
    sources = sources[: len(targets)]
    return Prepared(
        lambda backend: slots.bind(batch, None, backend=backend).compact(sources, targets),
        flop=0.0,
        moved_bytes=2.0 * len(sources) * (8.0 * batch.high[0].numel() + 4.0 * len(batch.givens[0])),
    )


def _admit(name: str, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    batch = step_rows(name, device, rows)
    index = torch.arange(rows, device=device)
    starts = slots.Starts(index, batch.givens.clone(), index + 2**40, index, None)
    return Prepared(
        lambda backend: slots.bind(batch, None, backend=backend).admit(starts),
        flop=0.0,
        moved_bytes=8.0 * (batch.high.numel() + batch.givens.numel()),
    )


def _step(name: str, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    batch, loaded = step_rows(name, device, rows), model_of(name, device)
    model, task = loaded.model, loaded.task
    weights, units = step_weights(model, task.units), unit_tables(task)
    bound = cache(partial(bind, batch, weights, units, dtype=dtype))
    return Prepared(
        lambda backend: bound(backend=backend)(rows),
        flop=float(rows * step_flops(model.config, task)),
        moved_bytes=8.0 * (batch.high.numel() + batch.low.numel()),
        backends=("native", "triton"),
    )


def _cases(
    prepare: Callable[[str, str, torch.dtype, int], Prepared], *names: str, suffix: str = ""
) -> tuple[Case, ...]:
    return tuple(Case(Path(name).name + suffix, partial(prepare, name)) for name in names)


OPS = {
    "philox": Op(
        tests=("test_philox.py", "test_philox_kernel.py"),
        cases=_cases(partial(_noise, philox.normals), SUDOKU)
        + _cases(partial(_noise, philox.integers), SUDOKU, suffix=" integers"),
    ),
    "slots": Op(
        tests=("test_slots.py",),
        cases=_cases(_compact, SUDOKU, suffix=" compact") + _cases(_admit, SUDOKU, suffix=" admit"),
    ),
    "supervision_step": Op(
        tests=("test_supervision_step.py",), cases=_cases(_step, SUDOKU, QUEENS, GRAPH, NOISY)
    ),
    "verify": Op(
        tests=("test_verify.py", "test_verify_kernel.py"),
        cases=_cases(_verify, SUDOKU, QUEENS, GRAPH),
    ),
}
