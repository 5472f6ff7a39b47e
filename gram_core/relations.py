"""Which cells each attention head may look at, as index tables made from a task's units.

Only tables: the attention that reads them is in ``layers``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gram_core.config import ADJACENCY, NEAR, UNRESTRICTED, GramConfig
from gram_core.errors import ConfigError
from gram_core.puzzles import Constraint, Unit

OFFSETS = ((0, 0), (1, 0), (0, -1), (0, 1), (-1, 0))
"""(row, column) steps to the cells that a ``near`` head sees: itself, down, left, right, up."""


class GroupTables(NamedTuple):
    """Gather tables of the heads that stay within static groups (rows, boxes, diagonals)."""

    members: Tensor
    """(groups, size) cell of each place; padded places repeat the group's first cell."""
    heads: Tensor
    """(groups,) head that the group belongs to, counted among the grouped heads."""
    is_member: Tensor
    """(groups, size) false where a place is padding."""
    places: Tensor
    """(length, grouped heads) flat place that holds the cell's result."""


def grouped_kinds(head_kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of the heads that stay within static groups."""
    return tuple(kind for kind in head_kinds if kind not in (ADJACENCY, NEAR, UNRESTRICTED))


def lines(rows: int, columns: int) -> tuple[Unit, ...]:
    """Return rows and columns of a board as groups, for puzzles that have no such units."""
    cells = torch.arange(rows * columns).view(rows, columns)
    # The constraint says nothing here: attention reads kind and cells only.
    return tuple(
        Unit(f"{kind} {number}", kind, Constraint.AT_MOST_ONE, tuple(line.tolist()))
        for kind, board in (("row", cells), ("column", cells.T))
        for number, line in enumerate(board)
    )


def neighbourhood_mask(rows: int, columns: int) -> Tensor:
    """Return (rows, columns, 5) bool: whether the cell at each of ``OFFSETS`` is on the board."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack(
        [
            (row + down >= 0)
            & (row + down < rows)
            & (column + right >= 0)
            & (column + right < columns)
            for down, right in OFFSETS
        ],
        dim=-1,
    )


def near_cells(rows: int, columns: int) -> Tensor:
    """Return (5, cells) int64: the cell at each of ``OFFSETS``, -1 beyond the border."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    cells = torch.stack([(row + down) * columns + column + right for down, right in OFFSETS])
    is_outside = ~neighbourhood_mask(rows, columns).movedim(-1, 0)
    return cells.masked_fill(is_outside, -1).flatten(1)


def group_tables(head_kinds: Sequence[str], units: Sequence[Unit], length: int) -> GroupTables:
    """Return the tables for one head per kind; every kind must cover each cell exactly once."""
    groups = [
        (head, unit.cells)
        for head, kind in enumerate(grouped_kinds(head_kinds))
        for unit in _partition(kind, units, length)
    ]
    size = max(len(cells) for _, cells in groups)
    members = torch.tensor([[*cells, *(cells[:1] * (size - len(cells)))] for _, cells in groups])
    is_member = torch.tensor([[place < len(cells) for place in range(size)] for _, cells in groups])
    heads = torch.tensor([head for head, _ in groups])
    places = torch.zeros(length, len(grouped_kinds(head_kinds)), dtype=torch.int64)
    for group, (head, cells) in enumerate(groups):
        places[list(cells), head] = group * size + torch.arange(len(cells))
    return GroupTables(members=members, heads=heads, is_member=is_member, places=places)


def cell_groups(config: GramConfig, units: Sequence[Unit]) -> Tensor:
    """Return (length, grouped heads) int64: the group of each cell that every head stays within."""
    groups = units or lines(config.rows, config.columns)
    tables = group_tables(config.head_kinds, groups, config.length)
    return tables.places // tables.members.shape[1]


def _partition(kind: str, units: Sequence[Unit], length: int) -> list[Unit]:
    """Return the units of a kind, with single cells that no unit names as groups of their own."""
    chosen = [unit for unit in units if unit.kind == kind]
    cells = sorted(cell for unit in chosen for cell in unit.cells)
    if not chosen or len(set(cells)) != len(cells):
        raise ConfigError("head_kinds", kind, "the task's units of this kind are no partition")
    missing = sorted(set(range(length)) - set(cells))
    template = chosen[0]
    return chosen + [
        Unit(name=f"cell {cell}", kind=kind, constraint=template.constraint, cells=(cell,))
        for cell in missing
    ]


def gather_tables(tables: GroupTables) -> dict[str, Tensor | None]:
    """Return the flat index tables of ``layers.Attention``, by buffer name.

    Rows are (cell, q or k or v, head) flattened; places are (group, place in group) flattened, and
    once more for each of q, k, v on the way in.
    """
    num_groups, size = tables.members.shape
    num_heads = tables.places.shape[1]
    part = torch.arange(3)
    rows = (tables.members * 3 + part[:, None, None]) * num_heads + tables.heads[:, None]
    places_of_rows = tables.places[:, None, :] + part[:, None] * (num_groups * size)
    cells = tables.members * num_heads + tables.heads[:, None]
    is_padded = not bool(tables.is_member.all())
    return {
        "rows_of_places": rows.flatten(),
        "places_of_rows": places_of_rows.flatten(),
        "places": tables.places.flatten(),
        "cells_of_places": cells.flatten(),
        "is_member": tables.is_member.flatten()[:, None].float() if is_padded else None,
        "group_mask": tables.is_member[:, None, :] if is_padded else None,
    }
