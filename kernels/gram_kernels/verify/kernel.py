"""Verification in Triton: one program for each answer.

The units are tables, so one kernel verifies every puzzle. Integer arithmetic only.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram_kernels.launch import OPTIONS, padded
from gram_kernels.tokens import BLANK, FIRST_VALUE
from gram_kernels.verify.tables import UnitTables, Verification

FIRST = tl.constexpr(FIRST_VALUE)
OPEN = tl.constexpr(BLANK)


# Arguments are grouped by line: tensors and numbers, sizes.
# fmt: off
@triton.jit
def broken_units(
    answers, unit_cells, constraints, num_units,
    LENGTH: tl.constexpr, NUM_VALUES: tl.constexpr, SIZE: tl.constexpr,
    U: tl.constexpr, C: tl.constexpr,
):
    """Return how many units the answer breaks; ``answers`` points at its tokens."""
    units = tl.arange(0, U)
    places = tl.arange(0, C)
    is_unit = units < num_units
    is_place = is_unit[:, None] & (places < SIZE)[None, :]
    cells = tl.load(
        unit_cells + units[:, None] * SIZE + places[None, :], mask=is_place, other=LENGTH
    )
    members = tl.load(answers + cells, mask=cells < LENGTH, other=0)
    first = tl.sum((members == FIRST).to(tl.int32), axis=1)
    num_single = tl.zeros([U], dtype=tl.int32)
    num_repeated = tl.zeros([U], dtype=tl.int32)
    for value in range(NUM_VALUES):
        count = tl.sum((members == value + FIRST).to(tl.int32), axis=1)
        num_single += (count == 1).to(tl.int32)
        num_repeated += (count > 1).to(tl.int32)
    constraint = tl.load(constraints + units, mask=is_unit, other=0)
    is_broken = tl.where(constraint == 0, num_single != NUM_VALUES, num_repeated > 0)
    is_broken = tl.where(constraint == 1, first != 1, is_broken)
    is_broken = tl.where(constraint == 2, first > 1, is_broken)
    return tl.sum((is_broken & is_unit).to(tl.int32), axis=0)


@triton.jit
def equal_neighbours(answers, adjacency, LENGTH: tl.constexpr, S: tl.constexpr):
    """Return how many edges join equal tokens; pointers are offset to the trajectory."""
    cells = tl.arange(0, S)
    is_cell = cells < LENGTH
    one = tl.load(answers + cells, mask=is_cell, other=0)
    is_pair = is_cell[:, None] & is_cell[None, :] & (cells[:, None] < cells[None, :])
    offsets = cells[:, None] * LENGTH + cells[None, :]
    is_edge = tl.load(adjacency + offsets, mask=is_pair, other=0) != 0
    is_equal = is_edge & (one[:, None] == one[None, :]) & is_pair
    return tl.sum(tl.sum(is_equal.to(tl.int32), axis=1), axis=0)


@triton.jit
def count_violations(
    answers, givens, unit_cells, constraints, adjacency, num_units,
    LENGTH: tl.constexpr, NUM_VALUES: tl.constexpr, LOWEST: tl.constexpr, SIZE: tl.constexpr,
    HAS_EDGES: tl.constexpr, S: tl.constexpr, U: tl.constexpr, C: tl.constexpr,
):
    """Return the violations of one answer: illegal tokens, changed givens, units, edges."""
    cells = tl.arange(0, S)
    is_cell = cells < LENGTH
    token = tl.load(answers + cells, mask=is_cell, other=FIRST)
    given = tl.load(givens + cells, mask=is_cell, other=OPEN)
    is_illegal = (token < LOWEST) | (token >= FIRST + NUM_VALUES)
    is_changed = (given > OPEN) & (given != token)
    wrong = (is_illegal & is_cell).to(tl.int32) + is_changed.to(tl.int32)
    total = tl.sum(wrong, axis=0)
    total += broken_units(
        answers, unit_cells, constraints, num_units, LENGTH, NUM_VALUES, SIZE, U, C
    )
    if HAS_EDGES:
        total += equal_neighbours(answers, adjacency, LENGTH, S)
    return total


@triton.jit
def verify_kernel(
    num_violations, answers, givens, unit_cells, constraints, adjacency, num_units,
    LENGTH: tl.constexpr, NUM_VALUES: tl.constexpr, LOWEST: tl.constexpr, SIZE: tl.constexpr,
    HAS_EDGES: tl.constexpr, S: tl.constexpr, U: tl.constexpr, C: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    total = count_violations(
        answers + row * LENGTH, givens + row * LENGTH, unit_cells, constraints,
        adjacency + row * LENGTH * LENGTH, num_units,
        LENGTH, NUM_VALUES, LOWEST, SIZE, HAS_EDGES, S, U, C,
    )
    tl.store(num_violations + row, total)
# fmt: on


def verify(
    answers: Tensor, givens: Tensor, tables: UnitTables, *, adjacency: Tensor | None = None
) -> Verification:
    rows, length = answers.shape
    num_violations = torch.empty(rows, dtype=torch.int32, device=answers.device)
    if rows:
        num_units, size = tables.cells.shape
        verify_kernel[(rows,)](
            num_violations,
            answers.contiguous(),
            givens.contiguous(),
            tables.cells,
            tables.constraints,
            answers if adjacency is None else adjacency.contiguous(),
            num_units,
            LENGTH=length,
            NUM_VALUES=tables.num_values,
            LOWEST=BLANK if tables.allows_blank else FIRST_VALUE,
            SIZE=size,
            HAS_EDGES=adjacency is not None,
            S=padded(length),
            U=padded(num_units, least=1),
            C=padded(size, least=1),
            num_warps=4 if adjacency is not None else 1,
            **OPTIONS,
        )
    return Verification(num_violations == 0, num_violations)
