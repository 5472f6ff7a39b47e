"""Verification in plain PyTorch, driven by the tables of a puzzle's units.

An answer is valid when every cell holds a legal token, every given is kept, every unit's constraint
holds, and no two adjacent cells are equal. Exact integer arithmetic: the same on every device.
"""

import torch
from torch import Tensor

from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD
from gram_kernels.verify.tables import UnitTables, Verification


def verify(
    answers: Tensor, givens: Tensor, tables: UnitTables, *, adjacency: Tensor | None = None
) -> Verification:
    """Verify answers, (rows, length) tokens, against givens of the same shape and the units.

    Answers may hold any integers; givens hold ``BLANK`` in open cells. ``adjacency`` is symmetric,
    (rows, length, length) bool; its diagonal is ignored.
    """
    lowest = BLANK if tables.allows_blank else FIRST_VALUE
    is_illegal = (answers < lowest) | (answers >= FIRST_VALUE + tables.num_values)
    num_violations = is_illegal.sum(dim=1)
    num_violations += ((givens > BLANK) & (givens != answers)).sum(dim=1)
    if len(tables.cells):
        num_violations += _broken_units(answers, tables).sum(dim=1)
    if adjacency is not None:
        is_equal = answers[:, :, None] == answers[:, None, :]
        num_violations += torch.triu(is_equal & adjacency, diagonal=1).sum(dim=(1, 2))
    return Verification(num_violations == 0, num_violations.int())


def _broken_units(answers: Tensor, tables: UnitTables) -> Tensor:
    """Return (rows, units): whether the unit's constraint is broken."""
    padded = torch.nn.functional.pad(answers, (0, 1), value=PAD)
    members = padded[:, tables.cells]  # (rows, units, size)
    values = torch.arange(tables.num_values, device=answers.device) + FIRST_VALUE
    counts = (members[..., None] == values).sum(dim=2)  # (rows, units, values)
    has_each = (counts == 1).all(dim=2)
    has_repeat = (counts > 1).any(dim=2)
    num_first = counts[..., 0]
    broken = torch.stack((~has_each, num_first != 1, num_first > 1, has_repeat))
    return broken.gather(0, tables.constraints.expand(1, len(answers), -1))[0]
