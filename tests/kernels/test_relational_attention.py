"""Relational attention against float64, and the reference against the model's layer."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gram_kernels.relational_attention import HeadTables, reference, relational_attention
from gram_kernels.relational_attention.tables import EDGE_GROUP, MAX_TOKENS

Guard = Callable[[Tensor], Tensor]
Close = Callable[[Tensor, Tensor], None]
DTYPES = (torch.float32, torch.float16)
CASES = [(1, 1, 1, 4), (2, 9, 3, 8), (1, 16, 4, 16), (2, 81, 2, 32), (3, 100, 1, 20)]


def random_tables(tokens: int, heads: int, head_dim: int, rng: torch.Generator) -> HeadTables:
    """Return one free head with positions; the others keep to random groups."""
    groups = torch.randint(0, max(1, tokens // 3), (heads, tokens), generator=rng)
    groups[-1] = 0
    angles = torch.randn(tokens, head_dim // 2, generator=rng).repeat(1, 2)
    still = torch.stack((torch.ones_like(angles), torch.zeros_like(angles)))
    rotary = torch.stack((still, torch.stack((angles.cos(), angles.sin()))))
    return HeadTables(groups=groups.int(), rotary=rotary, first_rotary_head=heads - 1)


@pytest.mark.parametrize("has_edges", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernel_agrees_with_the_reference_in_float64(
    case: tuple[int, int, int, int],
    dtype: torch.dtype,
    has_edges: bool,
    guarded: Guard,
    close: Close,
    rng: torch.Generator,
) -> None:
    batch, tokens, heads, head_dim = case
    tables = random_tables(tokens, heads, head_dim, rng)
    adjacency = torch.rand(batch, tokens, tokens, generator=rng) < 0.3 if has_edges else None
    if has_edges:
        tables.groups[0] = EDGE_GROUP
    qkv = torch.randn(batch, tokens, 3, heads, head_dim, generator=rng).to(dtype)
    expected = reference.relational_attention(qkv.double(), tables, adjacency=adjacency)
    mixed = relational_attention(
        guarded(qkv),
        HeadTables(
            groups=guarded(tables.groups),
            rotary=guarded(tables.rotary),
            first_rotary_head=tables.first_rotary_head,
        ),
        adjacency=None if adjacency is None else guarded(adjacency),
        backend="triton",
    )
    close(mixed, expected)


def test_a_token_without_neighbours_sees_itself(device: str, rng: torch.Generator) -> None:
    qkv = torch.randn(1, 5, 3, 1, 16, generator=rng)
    tables = HeadTables(
        groups=torch.full((1, 5), EDGE_GROUP, dtype=torch.int32),
        rotary=torch.ones(2, 2, 5, 16),
        first_rotary_head=1,
    )
    adjacency = torch.zeros(1, 5, 5, dtype=torch.bool)
    for backend, place in (("reference", "cpu"), ("triton", device)):
        mixed = relational_attention(
            qkv.to(place),
            tables.to(place),
            adjacency=adjacency.to(place),
            backend=backend,  # type: ignore[arg-type]  # a tuple of literals
        )
        torch.testing.assert_close(mixed.cpu(), qkv[:, :, 2, 0])


def test_a_trajectory_does_not_depend_on_its_neighbours(device: str, rng: torch.Generator) -> None:
    tables = random_tables(9, 3, 8, rng).to(device)
    qkv = torch.randn(6, 9, 3, 3, 8, generator=rng).to(device)
    whole = relational_attention(qkv, tables, backend="triton")
    alone = relational_attention(qkv[4:5], tables, backend="triton")
    assert torch.equal(whole[4:5], alone)


def test_a_sequence_that_is_too_long_for_the_kernel_goes_to_the_reference(
    device: str, rng: torch.Generator
) -> None:
    tables = random_tables(MAX_TOKENS + 1, 2, 8, rng)
    qkv = torch.randn(1, MAX_TOKENS + 1, 3, 2, 8, generator=rng)
    expected = reference.relational_attention(qkv, tables)
    mixed = relational_attention(qkv.to(device), tables.to(device), backend="triton").cpu()
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)
