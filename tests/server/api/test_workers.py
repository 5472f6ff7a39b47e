"""Which models are offered while workers come, go and are replaced."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gram_server.api.state import KNOWN_S, WorkerRegistry
from gram_server.errors import ModelUnknown, NotReady
from gram_server.job import ModelReport, WorkerReport, WorkerState
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.settings import QueueConfig
from tests.jobs import new_job

pytestmark = pytest.mark.anyio
PATIENCE_S = 10.0


def report(name: str, fingerprint: str = "old") -> ModelReport:
    return ModelReport(
        name=name, task="sudoku-4x4", fingerprint=fingerprint, depth=8, num_parameters=1
    )


class Workers:
    """Workers that come and go, and what the API makes of them."""

    def __init__(self, *, is_remote: bool = False) -> None:
        self.now_s = 100.0
        self.store = MemoryStore(QueueConfig())
        self.registry = WorkerRegistry(
            self.store, is_remote=is_remote, patience_s=PATIENCE_S, clock=lambda: self.now_s
        )
        self.open: dict[str, Any] = {}

    async def have(self, **models: Sequence[ModelReport]) -> None:
        """Have these workers, with these models, and no others."""
        for side in self.open.values():
            await side.close()
        self.open = {name: MemoryWorker(self.store, name) for name in models}
        for name, side in self.open.items():
            ready = WorkerState.READY
            await side.report(WorkerReport(worker=name, state=ready, models=tuple(models[name])))
        self.now_s += 6.0
        await self.registry.refresh()

    async def chosen(self, wanted: str | None, *, num_givens: int = 8) -> str:
        model = await self.registry.select_model(
            "sudoku-4x4",
            num_givens=num_givens,
            fits=lambda task: False,
            wanted=wanted,
            has_fallback=False,
        )
        return model.id


async def test_boards_of_few_givens_go_to_the_model_that_is_for_them() -> None:
    workers = Workers()
    few = replace(report("few"), purpose="generate", max_givens=3)
    await workers.have(one=[report("m"), few])
    assert [await workers.chosen(None, num_givens=number) for number in (0, 3, 4)] == [
        "few@old",
        "few@old",
        "m@old",
    ]
    assert await workers.chosen("m", num_givens=0) == "m@old"
    # Its worker went, and may come back: nobody waits for it where another model is loaded.
    await workers.have(one=[report("m")])
    assert await workers.chosen(None, num_givens=0) == "m@old"


async def test_both_weights_of_a_name_can_be_asked_for_while_both_are_there() -> None:
    workers = Workers()
    for order in (("old", "new"), ("new", "old")):
        await workers.have(one=[report("m", order[0])], two=[report("m", order[1])])
        assert [await workers.chosen(f"m@{name}") for name in order] == [f"m@{n}" for n in order]


async def test_weights_that_were_replaced_are_refused_and_not_answered_by_others() -> None:
    workers = Workers()
    await workers.have(one=[report("m", "old")])
    assert await workers.chosen("m@old") == "m@old"
    await workers.have(one=[report("m", "new")])
    with pytest.raises(ModelUnknown):
        await workers.chosen("m@old")
    assert await workers.chosen("m") == "m@new"


async def test_a_model_is_waited_for_while_its_only_worker_is_started_again() -> None:
    workers = Workers()
    await workers.have(one=[report("m")])
    await workers.have()
    workers.now_s += 10 * KNOWN_S
    await workers.registry.refresh()
    assert await workers.chosen("m@old") == "m@old"


async def test_a_model_that_no_worker_has_any_more_is_forgotten_after_a_while() -> None:
    workers = Workers()
    await workers.have(one=[report("m")], two=[report("n")])
    await workers.have(two=[report("n")])
    assert await workers.chosen("m") == "m@old"
    # Who names none gets one that is there.
    assert await workers.chosen(None) == "n@old"
    workers.now_s += KNOWN_S
    await workers.have(two=[report("n")])
    for wanted in ("m", "m@old"):
        with pytest.raises(ModelUnknown):
            await workers.chosen(wanted)
    assert [model.name for model in workers.registry.models] == ["n"]


async def test_who_waits_for_a_model_that_nobody_brings_back_is_told() -> None:
    workers = Workers(is_remote=True)
    await workers.have(one=[report("m", "old")], two=[report("n")])
    pinned = new_job(model="m", fingerprint="old")
    await workers.have(two=[report("n"), report("m", "new")])
    workers.now_s += PATIENCE_S + 1.0
    await workers.have(two=[report("n"), report("m", "new")])
    workers.registry.check_served(new_job(model="m"))
    workers.registry.check_served(new_job(model="n"))
    with pytest.raises(NotReady):
        workers.registry.check_served(pinned)


async def test_who_waits_for_exact_search_is_told_once_no_worker_is_left() -> None:
    workers = Workers(is_remote=True)
    await workers.have(one=[report("m")], two=[report("n")])
    await workers.have(two=[report("n")])
    workers.now_s += PATIENCE_S + 1.0
    searched = new_job(model="exact")
    workers.registry.check_served(searched)
    await workers.have()
    workers.now_s += PATIENCE_S + 1.0
    with pytest.raises(NotReady):
        workers.registry.check_served(searched)
