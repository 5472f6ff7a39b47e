"""``gram-lab bench compare``: several servers of the same weights, one client, one load.

Every server is asked the same questions at the same moments, one server after the other, on the
same machine; the plain loop must be able to solve each question, so that only time decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gram_lab.bench.load.plots import draw_rates
from gram_lab.bench.load.puzzle_mix import Question, draw_questions, read_mix, write_questions
from gram_lab.bench.load.serve import (
    LoadPlan,
    LoadRun,
    describe,
    environment,
    run_client,
)
from gram_lab.bench.load.summary import Summary, within
from gram_lab.bench.targets.process import Contender, running

Json = dict[str, object]

OURS = "gram-server"
CONTENDERS: Mapping[str, Contender] = MappingProxyType(
    {
        "naive": Contender(name="naive", arguments=("-m", "gram_lab.bench.targets.naive")),
        "litserve": Contender(
            name="litserve", arguments=("-m", "gram_lab.bench.targets.batching_litserve")
        ),
        "static": Contender(
            name="static",
            arguments=("-m", "gram_lab.bench.targets.static_batching"),
            health="/readyz",
            form="query",
        ),
        "static-leaving": Contender(
            name="static-leaving",
            arguments=("-m", "gram_lab.bench.targets.static_batching", "--leave-early"),
            health="/readyz",
            form="query",
        ),
        OURS: Contender(
            name=OURS,
            arguments=("-m", "gram_server.cli", "serve", "--log-level", "warning"),
            health="/readyz",
            form="query",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Who is compared, on what."""

    mix: str = "sudoku-9x9:1-64=1,nqueens-8:1-64=1"
    models: tuple[str, ...] = ("sudoku-9x9", "nqueens-8")
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    num_questions: int = 200
    data: Path | None = None
    num_threads: int = 2
    max_trajectories: int = 256
    """Bound of our queue in the overload."""
    max_backlog_s: float = 0.2
    """And of the time that what waits for a model may take."""
    seed: int = 0
    timeout_s: float = 60.0
    objectives_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0)
    """Others that the probed rates are judged by as well."""


def measure_compare(comparison: Comparison, plan: LoadPlan, *, output: Path) -> Json:
    """Run every contender in turn; return every summary and the ratios."""
    output.mkdir(parents=True, exist_ok=True)
    questions = _solvable(comparison)
    write_questions(output / "compare-questions.jsonl", questions)
    runs: dict[str, LoadRun] = {}
    results: dict[str, Any] = {}
    for name in comparison.contenders:
        runs[name], best = _run(CONTENDERS[name], comparison, plan, questions, output)
        results[name] = _result(runs[name], best, comparison)
    overload = None
    if plan.overload:
        best_rate = results.get(OURS, {}).get("best_rate") or plan.arrivals.rate
        overload = _overload(comparison, plan, questions, output, best_rate=best_rate)
    swept = {name: _by_rate(run) for name, run in runs.items()}
    objective_s = plan.objective.first_solution_s
    draw_rates(output / "compare-rates.png", swept, objective_s=objective_s)
    return {
        "environment": environment(),
        "comparison": {**asdict(comparison), "data": data_name(comparison)},
        "questions": describe(questions),
        "plan": asdict(plan),
        "results": results,
        "goodput_ratio": {name: _ratio(results, name) for name in runs if name != OURS},
        "overload": overload,
    }


def data_name(comparison: Comparison) -> str:
    """Return where the puzzles come from, as a reader should see it."""
    return comparison.data.name if comparison.data else "held-out or made"


def _solvable(comparison: Comparison) -> list[Question]:
    drawn = draw_questions(
        read_mix(comparison.mix),
        comparison.num_questions,
        seed=comparison.seed,
        data=comparison.data,
    )
    return solvable(drawn, comparison.models, num_threads=comparison.num_threads)


def solvable(
    questions: Sequence[Question], models: Sequence[str], *, num_threads: int
) -> list[Question]:
    """Return questions that the plain loop solves, so that only time decides, in their order."""
    from gram_lab.bench.targets.plain_solver import PlainSolver

    solver = PlainSolver(models, num_threads=num_threads)
    return [
        question
        for question in questions
        if solver.solve([{**question.body, "width": question.width, "seed": question.seed}])[0][
            "solutions"
        ]
    ]


def _run(
    contender: Contender,
    comparison: Comparison,
    plan: LoadPlan,
    questions: Sequence[Question],
    output: Path,
) -> tuple[LoadRun, float | None]:
    with running(
        contender,
        models=comparison.models,
        num_threads=comparison.num_threads,
        log=output / f"compare-{contender.name}.log",
        timeout_s=comparison.timeout_s,
    ) as started:
        run = LoadRun(started.target, questions, replace(plan, repeats=1))

        async def search() -> float | None:
            best = await run.run()
            for number in range(1, plan.repeats if best is not None else 1):
                await run.probe(best or 0.0, name=f"best, again {number}", seed=number)
            return best

        best = run_client(search)
        run.write(output, f"compare-{contender.name}")
        return run, best


def _overload(
    comparison: Comparison,
    plan: LoadPlan,
    questions: Sequence[Question],
    output: Path,
    *,
    best_rate: float,
) -> Json:
    """Press our server, with the bounds on its queue that a service in earnest would set."""
    bounded = {
        "GRAM_SERVER_MAX_TRAJECTORIES": str(comparison.max_trajectories),
        "GRAM_SERVER_MAX_BACKLOG_S": str(comparison.max_backlog_s),
        "GRAM_SERVER_MAX_WIDTH": "64",
    }
    contender = replace(CONTENDERS[OURS], name="overload", environment=bounded)
    with running(
        contender,
        models=comparison.models,
        num_threads=comparison.num_threads,
        log=output / "compare-overload.log",
        timeout_s=comparison.timeout_s,
    ) as started:
        run = LoadRun(started.target, questions, plan)

        async def press() -> Json:
            await run.warm_up()
            return await run.overload(best_rate)

        pressed = run_client(press)
        run.write(output, "compare-overload")
        return pressed


def _result(run: LoadRun, best: float | None, comparison: Comparison) -> Json:
    again = [
        summary.share_within for name, summary in run.summaries.items() if name.startswith("best")
    ]
    return {
        "best_rate": best,
        "share_within_again": again,
        "best_rate_by_objective": {
            f"{objective_s:g} s": _best_for(run, objective_s, 0.99)
            for objective_s in comparison.objectives_s
        },
        "runs": {name: asdict(summary) for name, summary in run.summaries.items()},
    }


def _best_for(run: LoadRun, objective_s: float, share: float) -> float | None:
    """Return the highest rate offered up to which every one met an objective."""
    best = None
    for name, summary in sorted(run.summaries.items(), key=lambda item: item[1].rate):
        if within(run.loads[name].records, objective_s) < share:
            return best
        best = summary.rate
    return best


def _by_rate(run: LoadRun) -> list[Summary]:
    return sorted(run.summaries.values(), key=lambda summary: summary.rate)


def _ratio(results: Mapping[str, Any], name: str) -> float | None:
    """Return how many times the other's best rate ours is; None where one met none."""
    ours, other = results.get(OURS, {}).get("best_rate"), results[name]["best_rate"]
    return round(ours / other, 2) if ours and other else None
