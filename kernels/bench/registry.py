"""One entry for each op: the shapes it is measured and compiled at, on fresh random inputs.

A case prepares its inputs once; running it is one call of the op. Work is counted by hand: the
formula's floating-point operations, and the least number of bytes moved.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gram_kernels import philox, slots
from gram_kernels.supervision_step import (
    GuidanceWeights,
    HeadTables,
    StackWeights,
    StepRows,
    StepWeights,
    bind,
)
from gram_kernels.tokens import Constraint, Unit
from gram_kernels.verify import UnitTables, verify

EPSILON = 1e-5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of one architecture."""

    name: str
    tokens: int
    side: int
    dim: int
    heads: int
    ffn_dim: int
    guidance_dim: int = 64
    inner_steps: int = 6
    noisy_inner_steps: int = 7
    """With noise in the input there is one stack, which takes one pass more."""


SUDOKU = Shape(name="sudoku-9x9", tokens=81, side=9, dim=128, heads=4, ffn_dim=256)
QUEENS = Shape(name="nqueens-8", tokens=64, side=8, dim=64, heads=4, ffn_dim=128)
SHAPES = (SUDOKU, QUEENS)


def random_tensor(device: str, dtype: torch.dtype, *shape: int) -> Tensor:
    return (torch.randn(shape, device=device) * shape[-1] ** -0.5).to(dtype)


def head_tables(shape: Shape, device: str) -> HeadTables:
    """Return heads within rows, columns and blocks of cells, and an unrestricted one last."""
    cells = torch.arange(shape.tokens)
    row, column = cells // shape.side, cells % shape.side
    groups = torch.stack([row, column, row // 3 * 3 + column // 3, cells * 0])
    groups = groups.repeat(shape.heads // 4, 1)
    head_dim = shape.dim // shape.heads
    angles = torch.randn(shape.tokens, head_dim // 2).repeat(1, 2)
    still = torch.stack((torch.ones_like(angles), torch.zeros_like(angles)))
    rotary = torch.stack((still, torch.stack((angles.cos(), angles.sin()))))
    return HeadTables(groups=groups.int(), rotary=rotary, first_rotary_head=shape.heads - 1).to(
        device
    )


def row_keys(device: str, rows: int) -> philox.NoiseKey:
    return philox.NoiseKey(*(torch.arange(rows, device=device) + start for start in (2**40, 0, 3)))


def guidance_weights(shape: Shape, device: str, dtype: torch.dtype) -> GuidanceWeights:
    return GuidanceWeights(
        gate_up=random_tensor(device, dtype, 4 * shape.guidance_dim, shape.dim),
        down=random_tensor(device, dtype, 2, shape.dim, shape.guidance_dim),
        sigma_min=0.01,
        sigma_span=0.5,
        sigma_offset=-1.0,
    )


def board_tables(shape: Shape, device: str) -> UnitTables:
    lines = torch.arange(shape.tokens).view(shape.side, -1)
    units = [
        Unit("line", "line", Constraint.PERMUTATION, tuple(line.tolist()))
        for line in (*lines, *lines.T)
    ]
    return UnitTables.build(
        units, length=shape.tokens, num_values=shape.side, allows_blank=False
    ).to(device)


def _noise(
    draw: Callable[..., Tensor], shape: Shape, device: str, dtype: torch.dtype, rows: int
) -> Prepared:
    keys, count = row_keys(device, rows), shape.tokens * shape.dim
    size = 4.0 if draw is philox.normals else 8.0
    return Prepared(
        lambda backend: draw(
            *keys, transition=0, stream=philox.GUIDANCE_STREAM, count=count, backend=backend
        ),
        flop=0.0,
        moved_bytes=size * rows * count,
    )


def _verify(shape: Shape, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    answers = torch.randint(2, 2 + shape.side, (rows, shape.tokens), device=device)
    return _verified(answers, board_tables(shape, device), None)


def _verify_graph(shape: Shape, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    answers = torch.randint(2, 5, (rows, shape.tokens), device=device)
    adjacency = torch.rand(rows, shape.tokens, shape.tokens, device=device) < 0.3
    tables = UnitTables.build([], length=shape.tokens, num_values=3, allows_blank=False)
    return _verified(answers, tables.to(device), adjacency)


def _verified(answers: Tensor, tables: UnitTables, adjacency: Tensor | None) -> Prepared:
    givens, num_edges = torch.ones_like(answers), 0 if adjacency is None else adjacency.numel()
    return Prepared(
        lambda backend: verify(answers, givens, tables, adjacency=adjacency, backend=backend),
        flop=0.0,
        moved_bytes=16.0 * answers.numel() + num_edges,
    )


def step_weights(shape: Shape, device: str, dtype: torch.dtype) -> StepWeights:
    dim = shape.dim

    def stack() -> StackWeights:
        return StackWeights(
            qkv=random_tensor(device, dtype, 1, 3 * dim, dim),
            out=random_tensor(device, dtype, 1, dim, dim),
            gate_up=random_tensor(device, dtype, 1, 2 * shape.ffn_dim, dim),
            down=random_tensor(device, dtype, 1, dim, shape.ffn_dim),
            directions=torch.zeros(1, 2, 0, 0, dim // shape.heads, device=device),
        )

    vocabulary = shape.side + 2
    return StepWeights(
        low=stack(),
        high=stack(),
        guidance=guidance_weights(shape, device, dtype),
        heads=head_tables(shape, device),
        embedding=torch.randn(vocabulary, dim, device=device),
        decoder=random_tensor(device, dtype, vocabulary, dim),
        readout=random_tensor(device, torch.float32, 2, dim),
        readout_bias=torch.zeros(2, device=device),
        num_heads=shape.heads,
        num_inner_steps=shape.inner_steps,
        num_transitions=1,
        reads_first=False,
        epsilon=EPSILON,
    )


def block_flop(shape: Shape) -> int:
    """Return the FLOP of one token's pass through a block, with full attention."""
    return 8 * shape.dim**2 + 6 * shape.dim * shape.ffn_dim + 4 * shape.tokens * shape.dim


def step_flop(shape: Shape) -> float:
    """Return the FLOP of one trajectory's step."""
    heads = 12 * shape.dim * shape.guidance_dim + 2 * shape.dim * (shape.side + 2)
    return float(shape.tokens * ((shape.inner_steps + 1) * block_flop(shape) + heads))


def step_rows(shape: Shape, device: str, rows: int, *, has_edges: bool) -> StepRows:
    batch = StepRows.allocate(rows, shape.tokens, shape.dim, has_adjacency=has_edges, device=device)
    batch.high.normal_()
    batch.low.normal_()
    batch.givens.random_(1, shape.side + 2)
    batch.keys.random_(0, 1000)
    batch.num_live.fill_(rows)
    if batch.adjacency is not None:
        batch.adjacency.bernoulli_(0.3)
    return batch


def _compact(shape: Shape, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    batch = step_rows(shape, device, rows, has_edges=False)
    order = torch.randperm(rows, device=device)
    sources, targets = order.chunk(2) if rows > 1 else (order, order)
    sources = sources[: len(targets)]
    return Prepared(
        lambda backend: slots.bind(batch, None, backend=backend).compact(sources, targets),
        flop=0.0,
        moved_bytes=2.0 * len(sources) * (8.0 * shape.dim + 4.0) * shape.tokens,
    )


def _admit(shape: Shape, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    batch = step_rows(shape, device, rows, has_edges=False)
    index = torch.arange(rows, device=device)
    starts = slots.Starts(index, batch.givens.clone(), index + 2**40, index, None)
    return Prepared(
        lambda backend: slots.bind(batch, None, backend=backend).admit(starts),
        flop=0.0,
        moved_bytes=rows * (8.0 * shape.dim + 8.0) * shape.tokens,
    )


def with_input_noise(shape: Shape, weights: StepWeights) -> StepWeights:
    """Return weights of one stack that sees noise in its input, normed before the products."""
    return replace(
        weights,
        high=None,
        guidance=None,
        num_inner_steps=shape.noisy_inner_steps,
        positions=torch.randn_like(weights.embedding[:1]).repeat(shape.tokens, 1),
        has_input_noise=True,
        is_pre_norm=True,
        norms_queries=True,
    )


def _noisy_step(shape: Shape, device: str, dtype: torch.dtype, rows: int) -> Prepared:
    prepared = _step(shape, device, dtype, rows, change=partial(with_input_noise, shape))
    heads = 2 * shape.dim * (2 * shape.side + 2)
    flop = shape.tokens * ((shape.noisy_inner_steps + 1) * block_flop(shape) + heads)
    return prepared._replace(flop=float(rows * flop))


def _step(
    shape: Shape,
    device: str,
    dtype: torch.dtype,
    rows: int,
    *,
    has_edges: bool = False,
    change: Callable[[StepWeights], StepWeights] = lambda weights: weights,
) -> Prepared:
    batch = step_rows(shape, device, rows, has_edges=has_edges)
    weights, units = change(step_weights(shape, device, dtype)), board_tables(shape, device)
    bound = cache(partial(bind, batch, weights, units, dtype=dtype))
    return Prepared(
        lambda backend: bound(backend=backend)(rows),
        flop=rows * step_flop(shape),
        moved_bytes=4.0 * (batch.high.numel() * 2 + batch.low.numel() * 2),
        backends=("native", "triton"),
    )


def _cases(
    prepare: Callable[[Shape, str, torch.dtype, int], Prepared],
    *shapes: Shape,
    suffix: str = "",
) -> tuple[Case, ...]:
    return tuple(Case(shape.name + suffix, partial(prepare, shape)) for shape in shapes)


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
        tests=("test_supervision_step.py",),
        cases=_cases(_step, *SHAPES)
        + _cases(partial(_step, has_edges=True), QUEENS, suffix=" graph")
        + _cases(_noisy_step, SUDOKU, suffix=" noise in the input"),
    ),
    "verify": Op(
        tests=("test_verify.py", "test_verify_kernel.py"),
        cases=_cases(_verify, SUDOKU, QUEENS) + _cases(_verify_graph, QUEENS, suffix=" graph"),
    ),
}
