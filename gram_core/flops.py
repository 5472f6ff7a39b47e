"""Floating-point operations of a supervision step's matrix products, computed from the config.

A multiply-add counts as two, as in the paper and in torch's counter. Element-wise work is not
counted: norms, activations, noise, and the five-cell attention of neighbour heads.
"""

from collections.abc import Sequence

from gram_core.config import ADJACENCY, UNRESTRICTED, GramConfig
from gram_core.model import Gram
from gram_core.puzzles import FIRST_VALUE, Task, Unit
from gram_core.relations import group_tables, grouped_kinds, row_and_column_units

NUM_READOUTS = 3
"""Outputs of the halt and value heads."""


def step_flops(config: GramConfig, task: Task) -> int:
    """Return the FLOP of one supervision step of one trajectory, decoding and heads included."""
    low = config.num_low_blocks * _block(config, task.units)
    high = config.num_high_blocks * _block(config, task.units)
    if config.recursion == "flat":
        passes = (config.num_inner_steps + 1) * low
    else:
        passes = config.num_inner_steps * low + high
    if config.guidance == "input":
        guidance = 2 * config.length * (config.vocabulary - FIRST_VALUE) * config.dim
    else:
        num_heads = {"learned": 2, "noise": 1, "mean": 1}.get(config.guidance, 0)
        guidance = num_heads * config.num_tokens * _swiglu(config.dim, config.guidance_dim)
    decoding = 2 * config.dim * (config.length * config.vocabulary + NUM_READOUTS)
    return config.num_transitions * (passes + guidance) + decoding


def inference_parameters(model: Gram) -> int:
    """Count the parameters that inference reads: all but the posterior and unused heads."""
    unused = ["posterior."]
    if model.config.guidance == "noise":
        unused.append("prior.mean.")
    if model.config.guidance == "mean":
        unused.append("prior.deviation.")
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if not name.startswith(tuple(unused))
    )


def _block(config: GramConfig, units: Sequence[Unit]) -> int:
    tokens, dim = config.num_tokens, config.dim
    mlp = tokens * _swiglu(dim, config.ffn_dim)
    if config.mixer == "token":
        return mlp + dim * _swiglu(tokens, config.token_ffn_dim or config.ffn_dim)
    projections = 2 * tokens * dim * 3 * dim + 2 * tokens * dim * dim
    kinds = config.head_kinds or (UNRESTRICTED,) * config.num_heads
    num_full = sum(kind in (ADJACENCY, UNRESTRICTED) for kind in kinds)
    total = mlp + projections + _scores(num_full, tokens, config)
    if grouped_kinds(kinds):
        # Groups are padded to the largest.
        groups = units or row_and_column_units(config.rows, config.columns)
        num_groups, size = group_tables(kinds, groups, config.length).members.shape
        total += _scores(num_groups, size, config)
    return total


def _swiglu(dim: int, hidden_dim: int) -> int:
    """Gate, up and down of one vector."""
    return 2 * 3 * dim * hidden_dim


def _scores(num: int, tokens: int, config: GramConfig) -> int:
    """Scores and weighted sums of ``num`` attentions over ``tokens`` tokens."""
    return num * 2 * 2 * tokens**2 * config.head_dim
