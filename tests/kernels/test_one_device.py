"""Nothing of a step may touch another device: a copy from the host is refused in a captured graph.

Without a GPU: steps run on meta tensors, where a value that the host would wait for is refused too.
"""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gram_core import puzzles
from gram_core.catalog import shipped_models
from gram_core.checkpoint import load_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_core.model_step import ModelStep
from gram_kernels.supervision_step import StepRows

KERNELS = Path(__file__).parents[2] / "kernels/gram_kernels"
NUM_ROWS = 3
FACTORIES = {"arange", "empty", "full", "ones", "rand", "randn", "scalar_tensor", "tensor", "zeros"}
SET_UP = {"tables.py", "heads.py", "weights.py", "packing.py"}
"""Files that make tensors before a step, on whatever device, for their ``to`` to move."""


class OneDevice(TorchDispatchMode):
    """Refuses any op with a tensor that is not on the meta device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, made)):
            if isinstance(leaf, torch.Tensor):
                assert leaf.is_meta, f"{func} touches {leaf.device}"
        return made


def step_on_meta(model: Gram, task: puzzles.Task) -> None:
    rows = StepRows.allocate(
        NUM_ROWS, task.length, model.config.dim, has_adjacency=task.has_adjacency, device="meta"
    )
    step = ModelStep(rows, model.to("meta"), task)
    with OneDevice():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        step(NUM_ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("name", [info.name for info in shipped_models()])
def test_a_step_of_a_shipped_model_stays_on_its_device(name: str) -> None:
    info = next(info for info in shipped_models() if info.name == name)
    loaded = load_model(info)
    step_on_meta(loaded.model, loaded.task)


@pytest.mark.slow
@pytest.mark.parametrize("task_name", ["sudoku-9x9", "graph-coloring-8"])
def test_a_step_of_the_papers_size_stays_on_its_device(task_name: str) -> None:
    task = puzzles.task(task_name)
    step_on_meta(Gram(preset("paper", task), task.units), task)


def test_the_check_sees_a_tensor_made_on_the_host() -> None:
    with (
        OneDevice(),  # type: ignore[no-untyped-call]  # torch leaves it untyped
        pytest.raises(AssertionError, match="touches cpu"),
    ):
        torch.empty(3).to("meta")


def makes_tensors_on_the_host(path: Path) -> list[str]:
    """Return the calls that make a tensor without saying on which device."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [
        f"{path.parent.name}/{path.name}:{call.lineno}"
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "torch"
        and call.func.attr in FACTORIES
        and "device" not in {keyword.arg for keyword in call.keywords}
    ]


def test_no_op_makes_a_tensor_without_saying_on_which_device() -> None:
    files = [
        path
        for path in KERNELS.rglob("*.py")
        if path.name not in SET_UP and "native" not in path.parts
    ]
    assert len(files) > 10
    assert [call for path in files for call in makes_tensors_on_the_host(path)] == []
