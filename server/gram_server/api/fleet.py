"""What the API knows of its workers: their models, and whether one can take work.

Reads the workers' reports from the store. Models stay known while a worker is started again, so
that its jobs can wait for it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from gram_core.puzzles import task
from gram_server.errors import ModelUnknown, NotReady, StoreUnavailable
from gram_server.job import ModelReport, WorkerReport, WorkerState
from gram_server.jobs.store import JobStore, QueueStats

MAX_AGE_S = 1.0
MAX_WATCHED_AGE_S = 5.0
"""Age at which the reports are read again although they are watched: the watch has not begun."""


class Fleet:
    """The workers, as their last reports show them."""

    def __init__(
        self,
        store: JobStore,
        *,
        is_remote: bool = False,
        patience_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet.

        Args:
            store: where the reports are.
            is_remote: whether reading them takes time or may fail: then ``watch`` reads them now
                and then, and nobody waits for it.
            patience_s: how long who waits for an answer waits for a worker that could give it.
            clock: seconds that never go back.
        """
        self._store = store
        self._is_remote = is_remote
        self._patience_s = patience_s
        self._clock = clock
        self._read_at_s = float("-inf")
        self._models: dict[str, ModelReport] = {}
        # Since when no worker has a model.
        self._missed_at_s: dict[str, float] = {}
        self.stats: QueueStats | None = None
        """What the queue held when the reports were read."""
        self.trouble: str | None = None
        """Why they could not be read the last time."""

    @property
    def workers(self) -> Sequence[WorkerReport]:
        """The last report of every worker."""
        return () if self.stats is None else self.stats.workers

    @property
    def models(self) -> Sequence[ModelReport]:
        """Every model that a worker has reported, by name."""
        return tuple(self._models.values())

    @property
    def is_ready(self) -> bool:
        """Whether a worker can take work."""
        return any(worker.state is WorkerState.READY for worker in self.workers)

    @property
    def has_solver(self) -> bool:
        """Whether a worker has OR-tools, as far as is known."""
        return not self.workers or any(worker.has_solver for worker in self.workers)

    async def refresh(self, *, max_age_s: float = 0.0) -> None:
        """Read the reports again unless they were read within ``max_age_s``, or are watched."""
        age_s = self._clock() - self._read_at_s
        if age_s > (MAX_WATCHED_AGE_S if self._is_remote else max_age_s):
            await self._read()

    async def watch(self) -> None:
        """Keep what is known up to date until cancelled."""
        while self._is_remote:
            await self._read()
            await asyncio.sleep(MAX_AGE_S)

    async def _read(self) -> None:
        try:
            self.stats = await self._store.stats()
        except StoreUnavailable as error:
            self.trouble = str(error)
        else:
            self.trouble = None
            self._note_models()
        self._read_at_s = self._clock()

    def _note_models(self) -> None:
        served = {model.name: model for worker in self.workers for model in worker.models}
        is_coming = any(worker.state is WorkerState.STARTING for worker in self.workers)
        self._models.update(served)
        for name in self._models:
            if name in served or is_coming:
                self._missed_at_s.pop(name, None)
            else:
                self._missed_at_s.setdefault(name, self._clock())

    def check_served(self, model: str) -> None:
        """Raise ``NotReady`` where nobody has been there for too long who could do the work.

        A worker beside this process is started again, however long that takes.
        """
        missed_at_s = self._missed_at_s.get(model)
        if not self._is_remote or self.trouble is not None or missed_at_s is None:
            return
        missed_s = self._clock() - missed_at_s
        if missed_s > self._patience_s:
            raise NotReady(
                f"no worker with {model} has been connected for {missed_s:.0f} s",
                retry_after_s=max(1, round(self._patience_s)),
            )

    def find(self, name: str) -> ModelReport | None:
        """Return the model of that name, or None where no worker ever reported one."""
        return self._models.get(name)

    async def choose(self, task: str, *, wanted: str | None) -> ModelReport:
        """Return the wanted model, or the first that solves the task; raise ``ModelUnknown``."""
        await self._know()
        if wanted is None:
            return self._default(task)
        model = self._named(wanted)
        if model.task != task:
            raise ModelUnknown(
                f"model {model.name} is for {model.task}, the puzzle is {task}", field="model"
            )
        return model

    async def choose_generating(
        self, *, puzzle: str, size: int | None, wanted: str | None
    ) -> ModelReport:
        """Return the wanted model, or the one that makes up the largest boards of the puzzle.

        Raises ``ModelUnknown``.
        """
        await self._know()
        if wanted is not None:
            model = self._named(wanted)
            if not _is_of(model, puzzle, size):
                size_text = "" if size is None else f" of size {size}"
                raise ModelUnknown(
                    f"model {model.name} is for {model.task}, not for {puzzle}{size_text}",
                    field="model",
                )
            return model
        generating = [model for model in self._models.values() if model.purpose == "generate"]
        fitting = [model for model in generating if _is_of(model, puzzle, size)]
        if fitting:
            return max(fitting, key=lambda model: task(model.task).size)
        tasks = ", ".join(sorted({model.task for model in generating})) or "none"
        raise ModelUnknown(
            f"no model that makes up {puzzle} boards of this size is loaded: there are models "
            f"for {tasks}",
            field="puzzle",
        )

    async def _know(self) -> None:
        """Have a recent list of the models."""
        await self.refresh(max_age_s=MAX_AGE_S)
        if not self._models:
            await self.refresh()
        if not self._models and self.trouble is not None:
            raise StoreUnavailable(self.trouble)
        if not self._models:
            raise NotReady("no worker is ready yet")

    def _default(self, task: str) -> ModelReport:
        solving = [model for model in self._models.values() if model.purpose == "solve"]
        for model in solving:
            if model.task == task:
                return model
        tasks = ", ".join(sorted({model.task for model in solving}))
        raise ModelUnknown(
            f"no model is loaded for {task}: there are models for {tasks}", field="puzzle"
        )

    def _named(self, wanted: str) -> ModelReport:
        model = self._models.get(wanted.partition("@")[0])
        if model is None or wanted not in (model.name, model.id):
            names = ", ".join(sorted(self._models))
            raise ModelUnknown(
                f"no model {wanted[:80]!a} is loaded: there are {names}", field="model"
            )
        return model


def _is_of(model: ModelReport, puzzle: str, size: int | None) -> bool:
    known = task(model.task)
    return known.family == puzzle and size in (None, known.size)
