"""The engine with static batching: a batch starts when the one before it has ended.

Rows that are done are computed on to the batch's end, which comes as soon as each of its requests
has what it asked for. Solutions are sent as soon as they are found, and all else is the product.
"""

from gram_server.engine import Engine
from gram_server.engine.runner import Runner, StepReport
from gram_server.engine.scheduler import Plan, Scheduler
from gram_server.engine.slots import Arrangement
from gram_server.metrics.engine import ModelMetrics


class StaticScheduler(Scheduler):
    """Admits into an empty batch only."""

    def plan(self, now_s: float) -> Plan:
        """Change nothing while a batch runs."""
        return Plan({}, []) if self.num_live else super().plan(now_s)


class WholeBatchRunner:
    """A runner that computes the rows a batch began with for as long as one of them is live.

    Trajectories begin ahead of their turn: in such a batch none can join later. It serves half as
    many requests again as when only those begin that are due.
    """

    runs_ahead = True

    def __init__(self, runner: Runner) -> None:
        self.num_slots, self.num_spares, self.lag = runner.num_slots, runner.num_spares, runner.lag
        self._runner = runner
        self._num_rows = 0

    def arrange(self, arrangement: Arrangement) -> None:
        """Take note of how many rows a batch begins with."""
        self._num_rows = len(arrangement.starts) or self._num_rows
        self._runner.arrange(arrangement)

    def step(self, num_live: int) -> None:
        """Compute the rows of the whole batch, live or not."""
        self._runner.step(max(num_live, self._num_rows))

    def read(self) -> StepReport:
        """Return the report, whose first rows are the live ones."""
        return self._runner.read()


class StaticEngine(Engine):
    """The engine with that scheduler and that runner."""

    def __init__(self, runner: Runner, *, metrics: ModelMetrics) -> None:
        super().__init__(WholeBatchRunner(runner), metrics=metrics)
        self._scheduler = StaticScheduler(num_slots=runner.num_slots)
