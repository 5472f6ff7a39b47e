"""One fixed load through the engine, and through a plain eager loop, of whatever tree runs it.

``cpu_engine.py`` starts this file in the tree of an older version and in this one, so it uses only
what both have. Prints one JSON object.

    python cpu_engine_load.py MODEL BATCH DEPTH JOBS THREADS {engine,eager}
"""

import json
import sys
import time
from functools import partial

import numpy as np
import torch
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.solve import solve
from gram_core.views import view
from gram_server.engine import EngineJob, Finished
from gram_server.metrics.engine import EngineMetrics
from gram_server.settings import EngineConfig
from gram_server.worker.loading import Lane, load_lane

Json = dict[str, object]


def main() -> None:
    """Run the load that the command line names, once to warm up and once for the record."""
    name, kind = sys.argv[1], sys.argv[6]
    batch, depth, num_jobs, num_threads = (int(text) for text in sys.argv[2:6])
    torch.set_num_threads(num_threads)
    lane = load_lane(find_model(name), EngineConfig(num_slots=batch, device="cpu"))
    run = through_engine if kind == "engine" else through_eager_loop
    instances = made(lane, num_jobs)
    run(lane, instances[:1], batch=batch, depth=min(depth, 4))
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    solutions = run(lane, instances, batch=batch, depth=depth)
    duration_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    num_steps = num_jobs * batch * depth
    result = {
        "runner": type(lane.runner).__name__ if kind == "engine" else "solve",
        "trajectory_steps_per_s": num_steps / duration_s,
        "trajectory_steps_per_cpu_s": num_steps / cpu_s,
        "solutions": [sorted(found) for found in solutions],
    }
    sys.stdout.write(json.dumps(result) + "\n")


def made(lane: Lane, count: int) -> list[object]:
    """Return instances with several givens, the same in every tree."""
    task = lane.loaded.task
    rng = np.random.default_rng(7)
    return [puzzles.family(task.family).generate(task, rng, num_solutions=1) for _ in range(count)]


def through_engine(
    lane: Lane, instances: list[object], *, batch: int, depth: int
) -> list[set[str]]:
    """Return the distinct valid solutions of each instance; no trajectory leaves early."""
    task = lane.loaded.task
    family = puzzles.family(task.family)
    engine = lane.engine(EngineMetrics(CollectorRegistry()).of("load"))
    for number, instance in enumerate(instances):
        encoded = family.encode(instance)
        job = EngineJob(
            id=str(number),
            tokens=encoded.tokens,
            adjacency=encoded.adjacency,
            width=batch,
            depth=depth,
            seed=number,
            halt="never",
            view=partial(view, family, task, number),
            check=partial(family.check, instance),
            canonical=partial(family.canonical, instance),
        )
        engine.submit(job, 0.0)
    found: list[set[str]] = [set() for _ in instances]
    while engine.has_work:
        for event in engine.tick(0.0):
            if isinstance(event, Finished):
                tokens = [solution.tokens for solution in event.solutions]
                found[int(event.job_id)] = {each.tobytes().hex() for each in tokens}
    return found


def through_eager_loop(
    lane: Lane, instances: list[object], *, batch: int, depth: int
) -> list[set[str]]:
    """Return the distinct valid solutions of each instance, from modules called one by one."""
    found = []
    for number, instance in enumerate(instances):
        results = solve(lane.loaded, instance, width=batch, depth=depth, seed=number, batch=batch)
        valid = [result.tokens for result in results if result.solved_at is not None]
        found.append({tokens.tobytes().hex() for tokens in valid})
    return found


if __name__ == "__main__":
    main()
