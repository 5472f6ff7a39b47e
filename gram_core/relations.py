"""The cells that each attention head may attend to, as index tables made from a task's units.

Only tables: the attention that reads them is in ``layers``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gram_core.config import ADJACENCY, NEAR, UNRESTRICTED, GramConfig
from gram_core.errors import ConfigError
from gram_core.puzzles import Constraint, Unit


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


def row_and_column_units(rows: int, columns: int) -> tuple[Unit, ...]:
    """Return rows and columns of a board as groups, for puzzles that have no such units."""
    cells = torch.arange(rows * columns).view(rows, columns)
    # The constraint is unused: attention reads kind and cells only.
    return tuple(
        Unit(f"{kind} {number}", kind, Constraint.AT_MOST_ONE, tuple(line.tolist()))
        for kind, board in (("row", cells), ("column", cells.T))
        for number, line in enumerate(board)
    )


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
    """Return (length, grouped heads) int64: the group of each cell in each head."""
    groups = units or row_and_column_units(config.rows, config.columns)
    tables = group_tables(config.head_kinds, groups, config.length)
    return tables.places // tables.members.shape[1]


def _partition(kind: str, units: Sequence[Unit], length: int) -> list[Unit]:
    """Return the units of a kind, and a group of one for each cell that no unit contains."""
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
