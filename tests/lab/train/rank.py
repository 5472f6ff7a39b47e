"""Tiny runs of both curricula, by one process or, with torchrun, by several."""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from gram_core import puzzles
from gram_lab import cli
from gram_lab.train import command, ranks
from gram_lab.train.recipe import choices
from gram_lab.train.resume import load_run, save_run
from gram_lab.train.sources import training_source
from gram_lab.train.trainer import Budget, Execution, Trainer

ROLLOUTS = ("num_rows=8", "depths=3", "prior_share=0.5")
DENOISING = (
    *("curriculum=denoising", "num_rows=8", "num_inner_steps=2"),
    # Muon rounds to bfloat16.
    *("dim=32", "ffn_dim=64", "guidance_dim=1", "optimizer=adamw"),
    'denoising={"min_steps": 4, "max_steps": 12}',
)
RUNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "rollouts": (("nqueens-5",), (*ROLLOUTS, "aim=nearest")),
    "siblings": (("nqueens-5",), (*ROLLOUTS, "num_siblings=2", "learns=best")),
    "sizes": (("nqueens-6", "nqueens-4"), ROLLOUTS),
    "graphs": (("graph-coloring-8",), ROLLOUTS),
    "generate": (("sudoku-4x4",), (*ROLLOUTS, "prior_share=1.0", "initial_state=random")),
    "denoising": (("nqueens-5",), DENOISING),
    "drawn": (("nqueens-5",), (*DENOISING[:-1], DENOISING[-1][:-1] + ', "noise": "drawn"}')),
}
UPDATES = 5


def trainer(name: str, *, num_parts: int = 1, seed: int = 0) -> Trainer:
    names, settings = RUNS[name]
    tasks = [puzzles.task(each) for each in names]
    preset = None if "curriculum=denoising" in settings else "tiny"
    recipe, config = choices(tasks[0], preset_name=preset, settings=settings)
    first, *others = [
        training_source(each, None, recipe, purpose="generate" if name == "generate" else "solve")
        for each in tasks
    ]
    return Trainer(
        config,
        first,
        recipe,
        budget=Budget(updates=UPDATES),
        execution=Execution(num_parts=num_parts),
        seed=seed,
        others=others,
    )


def finish(run: Trainer, folder: Path) -> dict[str, float]:
    """Train to the end and save; return the figures of all updates, and write them too."""
    for _ in run.run():
        pass
    save_run(folder, run)
    if not ranks.is_first():
        return {}
    figures = run.metrics.take()
    (folder / "figures.json").write_text(json.dumps(figures))
    return figures


def assert_goes_on(whole: Trainer, resumed: Trainer, folder: Path, *, at: int) -> None:
    """Train a run, and another from where it stood after ``at`` updates: the same weights."""
    for _ in whole.run():
        if whole.num_updates == at:
            save_run(folder, whole)
    load_run(folder, resumed)
    for _ in resumed.run():
        pass
    assert resumed.num_updates == whole.num_updates > at
    for one, other in ((whole.model, resumed.model), (whole.ema.averaged, resumed.ema.averaged)):
        for name, weight in one.state_dict().items():
            assert torch.equal(weight, other.state_dict()[name]), name


def train_all(folder: Path) -> None:
    """Train every run with this many ranks, and one of them once more from its middle."""
    for name in RUNS:
        finish(trainer(name, num_parts=2 if name == "siblings" else 1), folder / name)
    for name in ("rollouts", "denoising"):
        run = trainer(name)
        updates = iter(run.run())
        next(updates)
        next(updates)
        save_run(folder / "half" / name, run)
        again = trainer(name, seed=9)
        load_run(folder / "half" / name, again)
        finish(again, folder / "again" / name)


def die_after_the_third_update() -> None:
    """Save after every update, and let a rank kill itself before the third is saved."""
    command.SAVE_INTERVAL_S = 0.0
    update = Trainer.update

    def last(self: Trainer, progress: float) -> None:
        update(self, progress)
        if self.num_updates == 3 and not ranks.is_first():
            os.kill(os.getpid(), signal.SIGKILL)

    Trainer.update = last  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1] == "train":
        die_after_the_third_update()
        sys.exit(cli.main(sys.argv[1:]))
    with ranks.joined("cpu"):
        train_all(Path(sys.argv[1]))
    ranks.leave(0)
