"""Measures one checkpoint on cases: who is solved, by how many trajectories, at what cost."""

from collections.abc import Sequence

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_lab.console import ProgressBar
from gram_lab.data.instances import Case
from gram_lab.evaluate.report import Report, summarise
from gram_lab.rollouts import EAGER, Recorder, Running


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
    bar = ProgressBar()
    found = Recorder(loaded.model, loaded.task, running).run(
        [family.encode(case.instance) for case in cases],
        width=width,
        depth=depth,
        seed=seed,
        augment=augment,
        stops="valid" if is_complete else "solved",
        progress=lambda share: bar.show(share, "trajectories"),
    )
    bar.close()
    return summarise(loaded.task, cases, found, is_complete=is_complete)
