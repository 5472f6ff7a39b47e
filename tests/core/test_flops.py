"""The closed form of a step's cost against torch's own count of the products it runs."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gram_core import puzzles
from gram_core.catalog import shipped_models
from gram_core.config import GramConfig, preset
from gram_core.flops import inference_parameters, step_flops
from gram_core.model import Gram
from gram_core.puzzles import Task
from gram_kernels.philox import NoiseKey


def counted(config: GramConfig, task: Task) -> int:
    """What FlopCounterMode sees in one supervision step of two rows, halved."""
    model = Gram(config, task.units).eval()
    rows = torch.zeros(2, dtype=torch.int64)
    tokens = torch.ones(2, task.length, dtype=torch.int64)
    adjacency = torch.zeros(2, task.length, task.length, dtype=torch.bool)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.supervision_step(
            model.initial_state(rows, rows),
            model.encode(tokens),
            NoiseKey(rows, rows, rows),
            adjacency if task.has_adjacency else None,
        )
    return int(counter.get_total_flops()) // 2


def relatives() -> Iterator[tuple[GramConfig, Task]]:
    """Yield configs of every kind, each with a task."""
    for info in shipped_models():
        yield info.architecture, puzzles.task(info.task)
    for name in ("sudoku-9x9", "nqueens-8", "graph-coloring-10", "maze-12x9"):
        for size in ("paper", "small"):
            yield preset(size, puzzles.task(name)), puzzles.task(name)
    task = puzzles.task("nqueens-6")
    mixers: list[dict[str, object]] = [
        {"mixer": "relational"},
        {"mixer": "token", "head_kinds": ()},
        {"mixer": "attention", "head_kinds": ()},
        {"mixer": "attention", "head_kinds": (), "rotary": "1d", "num_prefix_tokens": 3},
    ]
    values = preset("tiny", task).to_json() | {"num_transitions": 2, "num_low_blocks": 2}
    for guidance in ("learned", "noise", "mean", "none"):
        for recursion in ("hierarchical", "flat"):
            for mixer in mixers:
                kind = {"guidance": guidance, "recursion": recursion, **mixer}
                yield GramConfig.from_json(values | kind), task


@pytest.mark.slow
@pytest.mark.parametrize(("config", "task"), list(relatives()))
def test_every_relative_costs_what_torch_counts(config: GramConfig, task: Task) -> None:
    assert step_flops(config, task) == counted(config, task)


def test_the_papers_arithmetic_is_met() -> None:
    """D 512, F 1536, S 81, K 6, T 3: "24 GFLOP a supervision step" without the guidance heads."""
    task = puzzles.task("sudoku-9x9")
    config = replace(preset("paper", task), ffn_dim=1536, guidance="none")
    assert step_flops(config, task) / 1e9 == pytest.approx(24, abs=1)


def test_inference_reads_all_but_the_posterior() -> None:
    task = puzzles.task("sudoku-4x4")
    model = Gram(preset("tiny", task), task.units)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    rows = torch.zeros(2, dtype=torch.int64)
    output = model.supervision_step(
        model.initial_state(rows, rows),
        model.encode(torch.ones(2, task.length, dtype=torch.int64)),
        NoiseKey(rows, rows, rows),
    )
    (output.logits.sum() + output.halt.sum() + output.value.sum()).backward()
    used = {name for name, each in model.named_parameters() if each.grad is not None}
    assert {name.split(".")[0] for name in names - used} == {"posterior", "prefix"}
    expected = sum(each.numel() for each in model.parameters() if each.grad is not None)
    assert inference_parameters(model) == expected
