"""Measures one checkpoint on cases: who is solved, by how many trajectories, at what cost."""

from collections.abc import Sequence

import torch

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_lab.console import ProgressBar
from gram_lab.data.instances import Case
from gram_lab.evaluate.report import Report, summarise
from gram_lab.evaluate.rollouts import EAGER, Running
from gram_lab.evaluate.sweep import Sweep, Work


def measure(
    loaded: LoadedModel,
    cases: Sequence[Case],
    *,
    width: int,
    depth: int,
    seed: int = 0,
    augment: bool = True,
    is_complete: bool = False,
    running: Running = EAGER,
) -> list[Report]:
    """Run trajectories on every case and summarise them.

    Args:
        loaded: the checkpoint.
        cases: instances of its task.
        width: trajectories per instance.
        depth: supervision steps per trajectory.
        seed: of noise and views.
        augment: use symmetry views.
        is_complete: run every trajectory, also of solved instances, and count solutions.
        running: how to compute.
    """
    family = puzzles.family(loaded.task.family)
    encoded = [family.encode(case.instance) for case in cases]
    sweep = Sweep(
        loaded,
        encoded,
        depth=depth,
        seed=seed,
        augment=augment,
        num_rows=min(running.num_rows, width * len(cases)),
        is_compiled=running.is_compiled,
    )
    # Trajectory by trajectory: the first ones of all instances run before any second one, so that
    # fewer are started than needed.
    work = [Work(index, each) for each in range(width) for index in range(len(cases))]
    bar = ProgressBar()
    device = loaded.model.z0_high.device.type
    with torch.autocast(device, torch.bfloat16, enabled=running.is_bf16):
        swept = sweep.run(
            work,
            stop_when_solved=not is_complete,
            progress=lambda done: bar.show(done / len(work), "trajectories"),
        )
    bar.close()
    return summarise(
        loaded.task,
        cases,
        swept.attempts,
        width=width,
        depth=depth,
        is_complete=is_complete,
        dropped_steps=swept.dropped_steps,
    )
