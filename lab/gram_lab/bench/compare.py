"""``gram-lab bench compare``: several servers of the same weights, one client, one load.

Every server is asked the same questions at the same moments, one server after the other, on the
same machine; the plain loop must be able to solve each question, so that only time decides.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gram_lab.bench.plain_solver import solvable
from gram_lab.bench.process import Contender, running
from gram_lab.bench.questions import Question, draw_questions, read_mix, write_questions
from gram_lab.bench.serve import LoadPlan, LoadRun, describe, environment, run_client

Json = dict[str, Any]

OURS = "gram-server"
BASELINES = ("-m", "gram_lab.bench.baselines")
CONTENDERS: Mapping[str, Contender] = MappingProxyType(
    {
        "naive": Contender(name="a naive FastAPI loop", arguments=(*BASELINES, "naive")),
        "litserve": Contender(
            name="LitServe, dynamic batches of 8 requests", arguments=(*BASELINES, "litserve")
        ),
        "static": Contender(
            name="our engine, static batching",
            arguments=("-m", "gram_lab.bench.static_batching"),
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
    timeout_s: float = 60.0
    output: Path = Path("build/compare")


def measure_compare(comparison: Comparison, plan: LoadPlan) -> Json:
    """Run every contender in turn; return every summary and how ours compares."""
    comparison.output.mkdir(parents=True, exist_ok=True)
    drawn = draw_questions(
        read_mix(comparison.mix),
        comparison.num_questions,
        seed=plan.arrivals.seed,
        data=comparison.data,
    )
    questions = solvable(drawn, comparison.models, num_threads=comparison.num_threads)
    write_questions(comparison.output / "compare-questions.jsonl", questions)
    results = {name: _measured(name, comparison, plan, questions) for name in comparison.contenders}
    ours = results.get(OURS, {}).get("best_rate")
    return {
        "environment": environment(),
        "comparison": {
            **asdict(comparison),
            "data": comparison.data.name if comparison.data else "held-out or made",
            "output": None,
        },
        "questions": describe(questions),
        "plan": asdict(plan),
        "results": results,
        "ours_is": {
            name: round(ours / found["best_rate"], 2) if ours and found["best_rate"] else None
            for name, found in results.items()
        },
    }


def _measured(name: str, comparison: Comparison, plan: LoadPlan, questions: list[Question]) -> Json:
    with running(
        CONTENDERS[name],
        models=comparison.models,
        num_threads=comparison.num_threads,
        log=comparison.output / f"compare-{name}.log",
        timeout_s=comparison.timeout_s,
    ) as started:
        run = LoadRun(started.target, questions, replace(plan, repeats=1))

        async def search() -> float | None:
            best = await run.run()
            for number in range(1, plan.repeats if best is not None else 1):
                await run.probe(best or 0.0, name=f"best, again {number}", seed=number)
            return best

        best = run_client(search)
        run.write(comparison.output, f"compare-{name}")
        runs = {each: asdict(summary) for each, summary in run.summaries.items()}
        return {"best_rate": best, "runs": runs}


def render_compare(result: Json) -> str:
    """Return the comparison as a Markdown page."""
    machine, objective = result["environment"], result["plan"]["objective"]
    lines = [
        "# The same weights, served in several ways",
        "",
        f"Highest rate of requests of which {objective['share']:.0%} had their first solution "
        f"within {objective['first_solution_s']:g} s of the moment they were due. "
        f"{machine['processor']}, {machine['num_cores']} cores for server and client; "
        f"{result['questions']['count']} questions (`{result['comparison']['mix']}`, puzzles "
        f"{result['comparison']['data']}), each of which the plain loop solves.",
        "",
        "| served by | highest rate, requests/s | ours is | shares within, again |",
        "|---|---:|---:|---|",
    ]
    for name, found in result["results"].items():
        again = [run["share_within"] for key, run in found["runs"].items() if "again" in key]
        best, ratio = found["best_rate"], result["ours_is"][name]
        lines.append(
            f"| {CONTENDERS[name].name} "
            f"| {'none' if best is None else f'{best:.2f}'} "
            f"| {'-' if ratio is None or name == OURS else f'{ratio:.2f}x'} "
            f"| {', '.join(f'{share:.1%}' for share in again) or '-'} |"
        )
    return "\n".join(lines) + "\n"
