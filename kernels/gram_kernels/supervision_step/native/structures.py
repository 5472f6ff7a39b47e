"""The structures of ``model.h`` for ctypes, field for field, filled from tensors."""

import ctypes

import torch
from torch import Tensor

_INT = ctypes.c_int64
_POINTER = ctypes.c_void_p
_FLOAT = ctypes.c_float


class Weight(ctypes.Structure):
    """A weight whose columns are packed in panels."""

    _fields_ = (
        *((name, _INT) for name in ("num_out", "num_in")),
        *((name, _POINTER) for name in ("wide", "narrow", "integers")),
    )


class Block(ctypes.Structure):
    """The weights of one block; those of the other mixer are empty."""

    _fields_ = (
        *((name, Weight) for name in ("qkv", "out", "token_gate_up", "token_down")),
        *((name, Weight) for name in ("gate_up", "down")),
        ("directions", _POINTER),
    )


class Model(ctypes.Structure):
    """Everything of a model that a step needs."""

    _fields_ = (
        *((name, _INT) for name in ("tokens", "dim", "num_heads", "head_dim", "vocabulary")),
        *((name, _INT) for name in ("num_low", "num_high", "num_inner_steps", "num_transitions")),
        *((name, _INT) for name in ("reads_first", "lowest_token", "num_values", "num_prefix")),
        *((name, _INT) for name in ("mixes_tokens", "norms_tokens")),
        *((name, _INT) for name in ("is_pre_norm", "norms_queries", "has_input_noise")),
        *((name, _INT) for name in ("has_guidance", "has_noise", "guidance_dim")),
        *((name, _INT) for name in ("num_parts", "max_rows")),
        *((name, _FLOAT) for name in ("sigma_min", "sigma_span", "sigma_offset", "epsilon")),
        ("blocks", ctypes.POINTER(Block)),
        *((name, Weight) for name in ("guidance_gate_up", "mean_down", "deviation_down")),
        ("decoder", Weight),
        *((name, _POINTER) for name in ("embedding", "positions", "readout", "readout_bias")),
        *((name, _INT) for name in ("num_groups", "first_rotary_head")),
        *((name, _POINTER) for name in ("group_heads", "group_starts", "group_is_masked")),
        *((name, _POINTER) for name in ("members", "cosines", "sines")),
        *((name, _INT) for name in ("num_places", "first_near", "num_near")),
        ("neighbours", _POINTER),
        *((name, _INT) for name in ("num_units", "unit_size")),
        *((name, _POINTER) for name in ("unit_cells", "unit_constraints")),
    )


class Rows(ctypes.Structure):
    """The rows of a batch."""

    _fields_ = (
        *((name, _POINTER) for name in ("high", "low", "givens", "keys", "adjacency", "facts")),
        ("num_rows", _INT),
    )


class Burst(ctypes.Structure):
    """The steps of one call."""

    _fields_ = tuple(
        (name, _INT) for name in ("max_steps", "max_ns", "is_fresh", "num_steps", "lost_ns")
    )


class Keeper:
    """Hands out addresses of tensors and keeps the tensors alive as long as itself."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []

    def address(self, tensor: Tensor, dtype: torch.dtype) -> int:
        """Return the address of a contiguous CPU copy in a dtype."""
        kept = tensor.detach().to("cpu", dtype).contiguous()
        self._tensors.append(kept)
        return kept.data_ptr()
