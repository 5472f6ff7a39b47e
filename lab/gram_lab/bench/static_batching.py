"""``gram-server`` with static batching: a batch starts when the one before it has ended.

Rows that are done are computed on to the batch's end, which comes as soon as each of its requests
has what it asked for. Solutions are sent as soon as found; everything else is the product's code.

python -m gram_lab.bench.static_batching serve --port N --model NAME
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from gram_server import child, cli
from gram_server.engine import Engine
from gram_server.engine.scheduler import Plan, Scheduler
from gram_server.engine.slots import BatchUpdate, Runner
from gram_server.metrics.engine import ModelMetrics


class StaticScheduler(Scheduler):
    """Admits into an empty batch only."""

    def plan(self, now_s: float) -> Plan:
        """Change nothing while a batch runs."""
        return Plan({}, []) if self.num_live else super().plan(now_s)


class WholeBatchRunner:
    """A runner that computes the rows a batch began with for as long as one of them is live.

    Trajectories start early, as none can join such a batch later: 1.5 times the requests of
    starting only those that are due.
    """

    rows_are_free = True

    def __init__(self, runner: Runner) -> None:
        self.num_slots, self.num_parking = runner.num_slots, runner.num_parking
        self.pipeline_depth, self.read = runner.pipeline_depth, runner.read
        self._runner, self._num_rows = runner, 0

    def update_rows(self, update: BatchUpdate) -> None:
        self._num_rows = len(update.starts) or self._num_rows
        self._runner.update_rows(update)

    def step(self, num_live: int, max_steps: int = 1) -> None:
        self._runner.step(max(num_live, self._num_rows), max_steps)


class StaticEngine(Engine):
    """The engine with that scheduler and that runner."""

    def __init__(self, runner: Runner, *, metrics: ModelMetrics) -> None:
        super().__init__(WholeBatchRunner(runner), metrics=metrics)
        self._scheduler = StaticScheduler(num_slots=runner.num_slots)


def main() -> None:
    """Run the product's command line with this module in place of its own."""
    product = child.worker_command

    def worker_command(*, link: Path, heartbeat: Path) -> Sequence[str]:
        python, option, _, *words = product(link=link, heartbeat=heartbeat)
        return [python, option, "gram_lab.bench.static_batching", *words]

    child.worker_command = worker_command
    if sys.argv[1:2] == ["worker"]:
        # The API process needs no torch.
        from gram_server.worker import loading

        # Replaces the product's engine.
        loading.Engine = StaticEngine  # type: ignore[assignment, attr-defined]
    cli.main()


if __name__ == "__main__":
    main()
