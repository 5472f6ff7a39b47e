"""What the API knows of its workers: their models, and whether one can take work.

Reads the workers' reports from the store. Models stay known while a worker is started again, so
that its jobs can wait for it.
"""

import time
from collections.abc import Callable, Sequence

from gram_server.errors import ModelUnknown, NotReady
from gram_server.job import ModelReport, WorkerReport, WorkerState
from gram_server.jobs.store import JobStore

MAX_AGE_S = 1.0


class Fleet:
    """The workers, as their last reports show them."""

    def __init__(self, store: JobStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._read_at_s = float("-inf")
        self._models: dict[str, ModelReport] = {}
        self.workers: Sequence[WorkerReport] = ()

    @property
    def models(self) -> Sequence[ModelReport]:
        """Every model that a worker has reported, by name."""
        return tuple(self._models.values())

    @property
    def is_ready(self) -> bool:
        """Whether a worker can take work."""
        return any(worker.state is WorkerState.READY for worker in self.workers)

    async def refresh(self, *, max_age_s: float = 0.0) -> None:
        """Read the reports again unless they were read within ``max_age_s``."""
        now_s = self._clock()
        if now_s - self._read_at_s <= max_age_s:
            return
        self.workers = (await self._store.stats()).workers
        self._read_at_s = now_s
        for worker in self.workers:
            self._models.update({model.name: model for model in worker.models})

    async def choose(self, task: str, *, wanted: str | None) -> ModelReport:
        """Return the wanted model, or the first for the task; raise ``ModelUnknown``."""
        await self.refresh(max_age_s=MAX_AGE_S)
        if not self._models:
            await self.refresh()
        if not self._models:
            raise NotReady("no worker is ready yet")
        return self._named(wanted, task) if wanted is not None else self._default(task)

    def _default(self, task: str) -> ModelReport:
        for model in self._models.values():
            if model.task == task:
                return model
        tasks = ", ".join(sorted({model.task for model in self._models.values()}))
        raise ModelUnknown(
            f"no model is loaded for {task}: there are models for {tasks}", field="puzzle"
        )

    def _named(self, wanted: str, task: str) -> ModelReport:
        model = self._models.get(wanted.partition("@")[0])
        if model is None or wanted not in (model.name, model.id):
            names = ", ".join(sorted(self._models))
            raise ModelUnknown(
                f"no model {wanted[:80]!a} is loaded: there are {names}", field="model"
            )
        if model.task != task:
            raise ModelUnknown(
                f"model {model.name} is for {model.task}, the puzzle is {task}", field="model"
            )
        return model
