"""``gram-lab bench tiles``: the fused step with other tile sizes than ``step_tile`` gives.

They are timed as graph replays. Without a GPU it says what each would take on Hopper: variants that
spill need not be tried.
"""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import torch

from gram_kernels.supervision_step import kernel
from gram_kernels.supervision_step.tiles import StepTile, step_tile
from gram_lab.bench.compilation import compiled, recorded_launches
from gram_lab.bench.engine import Json
from gram_lab.bench.kernels import TileOptions, median_s
from gram_lab.bench.ops import OPS

HOPPER = (9, 0)
CASES = {case.name: case for case in OPS["supervision_step"].cases if "sudoku" in case.name}
CHANGES: tuple[dict[str, int], ...] = (
    {},
    {"num_warps": 4},
    {"rows": 128},
    {"rows": 128, "hidden": 32},
    {"rows": 32, "hidden": 32},
    {"rows": 32, "hidden": 32, "num_warps": 4},
    {"queries": 64},
    {"queries": 16},
    {"hidden": 32},
    {"hidden": 32, "num_warps": 4},
    {"hidden": 32, "queries": 64},
    {"hidden": 32, "trajectories": 3},
    {"rows": 16, "hidden": 32, "num_warps": 4},
    {"num_stages": 1},
    {"num_stages": 3},
    {"trajectories": 2},
    {"trajectories": 3},
    {"trajectories": 3, "rows": 128},
    {"readout_warps": 8},
    {"readout_rows": 64, "readout_warps": 8},
    {"readout_rows": 16},
)


class Variant(NamedTuple):
    """One case with one choice of tiles."""

    case: str
    changes: dict[str, int]

    def use(self) -> None:
        """Let steps that are bound from now on have these tiles."""
        tile: StepTile = step_tile(HOPPER)._replace(**self.changes)
        kernel.step_tile = lambda arch: tile  # type: ignore[attr-defined]

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in self.changes.items()]
        return f"{self.case}: {' '.join(words) or 'as shipped'}"


def measure(options: TileOptions) -> Json:
    """Time every variant; each is told on standard error as soon as it is known."""
    variants = [Variant(name, changes) for name in CASES for changes in CHANGES]
    results = []
    for found in _timed(variants, options) if torch.cuda.is_available() else _compiled(variants):
        results.append(found)
        sys.stderr.write(json.dumps(found) + "\n")
    return {"results": results}


def _timed(variants: list[Variant], options: TileOptions) -> Iterator[Json]:
    """Compile in many processes, whose results Triton keeps on disk, then time in this one."""
    with ProcessPoolExecutor(min(12, os.cpu_count() or 1), get_context("spawn")) as pool:
        refusals = list(pool.map(_refusal, variants))
    for variant, refusal in zip(variants, refusals, strict=True):
        if refusal:
            yield {"variant": str(variant), "refusal": refusal}
            continue
        times = {rows: _replay_us(variant, rows, options.budget_s) for rows in options.rows}
        yield {"variant": str(variant), "step_us": times}


def _refusal(variant: Variant) -> str:
    """Return why a variant cannot run here; it is compiled as a side effect."""
    try:
        _replay_us(variant, 4, 0.0)
    except Exception as error:  # whatever a compiler or a driver raises
        return str(error)[:200]
    return ""


def _replay_us(variant: Variant, rows: int, budget_s: float) -> float:
    variant.use()
    step = partial(CASES[variant.case].prepare("cuda", torch.float16, rows).run, "triton")
    step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return 1e6 * median_s(graph.replay, "cuda", budget_s=budget_s)


def _compiled(variants: list[Variant]) -> Iterator[Json]:
    for variant in variants:
        variant.use()
        for recorded in set(recorded_launches(CASES[variant.case], 90)):
            taken = compiled("supervision_step", variant.case, recorded, 90)
            wanted = ("kernel", "registers", "stack_bytes", "shared_bytes")
            yield {"variant": str(variant), **{name: taken[name] for name in wanted}}
