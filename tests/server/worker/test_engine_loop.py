import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from gram_server.engine import Engine, EngineEvent, Finished
from gram_server.engine.model_runner import ModelRunner
from gram_server.metrics.engine import EngineMetrics
from gram_server.supervisor import read_heartbeat
from gram_server.worker.engine_loop import Abort, EngineLoop, Heartbeat, Stop, Submit
from tests.server.worker.harness import World

TASK = "sudoku-4x4"


def _loop(world: World, heartbeat: Heartbeat | None = None) -> EngineLoop:
    metrics = EngineMetrics(CollectorRegistry())
    runner = ModelRunner(world.model(TASK), num_slots=16, backend="model")
    return EngineLoop({TASK: Engine(runner, metrics=metrics.of(TASK))}, heartbeat=heartbeat)


def _submit(job: Any, world: World) -> Submit:
    return Submit(TASK, world.take(job).engine_job(clock_offset_s=0.0))


@contextmanager
def _running(loop: EngineLoop) -> Iterator[list[EngineEvent]]:
    """Run a loop in a thread of its own, which ends when it is told; yield its events."""
    events: list[EngineEvent] = []
    thread = threading.Thread(target=loop.run, args=(events.extend,), daemon=True)
    thread.start()
    yield events
    loop.send(Stop())
    thread.join(60.0)
    assert not thread.is_alive()


def _ends(events: list[EngineEvent]) -> list[Finished]:
    return [event for event in events if isinstance(event, Finished)]


def _wait(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_a_job_is_solved_and_the_loop_stops_when_told(world: World) -> None:
    loop = _loop(world)
    with _running(loop) as events:
        loop.send(_submit(world.job(width=16, augment=False), world))
        _wait(lambda: _ends(events))
    [end] = _ends(events)
    assert len(end.solutions) == 1


def test_demand_counts_what_was_sent_from_the_moment_it_was(world: World) -> None:
    loop = _loop(world)
    assert loop.demand == 0
    loop.send(_submit(world.job(width=40, depth=1000, halt="never"), world))
    assert loop.demand == 40
    with _running(loop):
        _wait(lambda: loop.num_live)
        assert loop.demand == 40
        loop.send(Abort("a"))
        _wait(lambda: loop.demand == 0)


def test_an_abort_ends_a_running_job(world: World) -> None:
    loop = _loop(world)
    with _running(loop) as events:
        loop.send(_submit(world.job(width=500, depth=1000, halt="never"), world))
        _wait(lambda: loop.num_live)
        loop.send(Abort("a"))
        _wait(lambda: _ends(events))
    assert [end.outcome for end in _ends(events)] == ["cancelled"]


def test_a_job_that_is_sent_twice_ends_nothing(world: World) -> None:
    loop = _loop(world)
    for _ in range(2):
        loop.send(_submit(world.job(width=500, depth=1000, halt="never"), world))
    loop.send(_submit(world.job("b", width=16, augment=False), world))
    with _running(loop) as events:
        _wait(lambda: "b" in [end.job_id for end in _ends(events)])
        loop.send(Abort("a"))
        _wait(lambda: "a" in [end.job_id for end in _ends(events)])
    assert len(_ends(events)) == 2


def test_a_late_engine_is_made_once_with_its_first_job_and_that_is_no_hang(
    world: World, tmp_path: Path
) -> None:
    metrics, made = EngineMetrics(CollectorRegistry()), list[int | None]()

    def engine(model: str) -> Engine:
        runner = ModelRunner(world.model(TASK), num_slots=16, backend="model")
        return Engine(runner, metrics=metrics.of(model))

    def make() -> Engine:
        beat = read_heartbeat(tmp_path / "beat")
        made.append(None if beat is None else beat.num_live)
        return engine("late")

    heartbeat = Heartbeat(tmp_path / "beat")
    loop = EngineLoop({TASK: engine(TASK)}, late={"late": make}, heartbeat=heartbeat)
    with _running(loop) as events:
        loop.send(_submit(world.job(width=300, depth=10_000, halt="never"), world))
        _wait(lambda: loop.num_live)
        for name in ("b", "c"):
            job = world.take(world.job(name, width=16, augment=False))
            loop.send(Submit("late", job.engine_job(clock_offset_s=0.0)))
        _wait(lambda: len(_ends(events)) == 2)
        assert made == [0]
        loop.send(Abort("a"))
        _wait(lambda: loop.demand == 0)


def test_the_loop_sleeps_while_there_is_nothing_to_do(world: World) -> None:
    with _running(_loop(world)):
        started_s = time.process_time()
        time.sleep(0.3)
        used_s = time.process_time() - started_s
    assert used_s < 0.03


def test_the_heartbeat_shows_ticks_and_work_that_is_left(world: World, tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path / "beat")
    loop = _loop(world, heartbeat)

    def busy() -> bool:
        beat = read_heartbeat(tmp_path / "beat")
        return beat is not None and beat.num_ticks > 2 and beat.num_live == 300

    with _running(loop) as events:
        loop.send(_submit(world.job(width=300, depth=100, halt="never"), world))
        _wait(busy)
        loop.send(Abort("a"))
        _wait(lambda: _ends(events))
    beat = read_heartbeat(tmp_path / "beat")
    assert beat is not None
    assert beat.num_live == 0
