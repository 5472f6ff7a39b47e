"""A model's weights in the layouts that the C code reads.

A weight's columns are in panels of 32. Products of the matrix unit need weights that are exact in
bfloat16, as in every checkpoint stored in that type; those of integers round them to 8 bits.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gram_kernels.supervision_step.heads import EDGE_GROUP, NEAR_GROUP, HeadTables
from gram_kernels.supervision_step.native.structures import Keeper, Weight
from gram_kernels.supervision_step.weights import StepWeights

Form = Literal["wide", "narrow", "integers"]
"""Of a packed weight: float32, bfloat16, or 8 bits."""

PANEL = 32
_GATE_COLUMNS = PANEL // 2


def is_exact_in_bfloat16(weights: StepWeights) -> bool:
    return all(
        torch.equal(tensor.bfloat16().float(), tensor.float()) for tensor in factors(weights)
    )


def factors(weights: StepWeights) -> list[Tensor]:
    """Return the weights that multiply activations."""
    tensors = [*weights.low, *(weights.high or ()), weights.decoder]
    if weights.guidance is not None:
        tensors += [weights.guidance.gate_up, weights.guidance.down]
    return tensors


def pack(weight: Tensor, keeper: Keeper, form: Form) -> Weight:
    """Return a weight, (num_out, num_in), in panels."""
    packed = Weight(*weight.shape)
    if form == "wide":
        panels = padded(weight.float(), rows=PANEL).unflatten(0, (-1, PANEL)).transpose(1, 2)
        packed.wide = keeper.address(panels, torch.float32)
    elif form == "narrow":
        columns = padded(weight.float(), rows=PANEL, columns=PANEL)
        # (panels, tile of 16 columns, column, depth, pair, one of two) -> tiles of pairs of rows.
        tiles = columns.unflatten(1, (-1, 16, 2)).unflatten(0, (-1, 2, 16))
        packed.narrow = keeper.address(tiles.permute(0, 3, 1, 4, 2, 5), torch.bfloat16)
    else:
        packed.integers = keeper.address(_integer_panels(weight), torch.uint8)
    return packed


def _integer_panels(weight: Tensor) -> Tensor:
    """Return (panels, bytes): starts of the columns' sums, steps of the columns, and numbers."""
    columns = padded(weight.float(), rows=PANEL, columns=4)
    steps = columns.abs().amax(dim=1) / 127
    numbers = (columns / steps.clamp(min=1e-30)[:, None]).round().to(torch.int8)
    # The numbers multiply activations to which 128 was added.
    starts = -128 * numbers.sum(dim=1, dtype=torch.int32)
    fours = numbers.unflatten(1, (-1, 4)).unflatten(0, (-1, PANEL)).transpose(1, 2)
    tables = [table.unflatten(0, (-1, PANEL)).view(torch.uint8) for table in (starts, steps)]
    return torch.cat([*tables, fours.flatten(1).view(torch.uint8)], dim=1)


def interleaved(gate: Tensor, up: Tensor) -> Tensor:
    """Return gates and ups, each (hidden, num_in), alternating every 16 rows; hidden is padded."""
    halves = [
        padded(half.float(), rows=PANEL).unflatten(0, (-1, _GATE_COLUMNS)) for half in (gate, up)
    ]
    return torch.cat(halves, dim=1).flatten(0, 1)


def padded(weight: Tensor, *, rows: int, columns: int = 1) -> Tensor:
    missing = [-size % step for size, step in zip(weight.shape, (rows, columns), strict=True)]
    return functional.pad(weight, (0, missing[1], 0, missing[0]))


def group_lists(heads: HeadTables) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (head of each group, start of each and the end, whether edges decide, members)."""
    owners, starts, masked, members = [], [0], [], []
    for head, groups in enumerate(heads.groups.cpu()):
        for group in groups[groups != NEAR_GROUP].unique(sorted=True).tolist():
            cells = (groups == group).nonzero()[:, 0].tolist()
            owners.append(head)
            masked.append(group == EDGE_GROUP)
            members += cells
            starts.append(len(members))
    return (
        torch.tensor(owners),
        torch.tensor(starts),
        torch.tensor(masked),
        torch.tensor(members),
    )
