"""``gram-lab bench compare``: several servers of the same weights, one client, one load.

Every server is asked the same questions at the same moments, one server after the other, on the
same machine; the plain loop must be able to solve each question, so that only time decides.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gram_lab.bench.load import Json, LoadOptions, LoadRun, environment, run_client
from gram_lab.bench.plain_solver import solvable
from gram_lab.bench.questions import Question, describe, write_questions
from gram_lab.bench.servers import CONTENDERS, OURS, running


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions(LoadOptions):
    """Servers to compare, and their load."""

    models: tuple[str, ...] = ("sudoku-9x9", "nqueens-8")
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    num_threads: int = 2
    output: Path = Path("build/compare")


def measure_compare(options: CompareOptions) -> Json:
    options.output.mkdir(parents=True, exist_ok=True)
    questions = solvable(options.draw(), options.models, num_threads=options.num_threads)
    write_questions(options.output / "compare-questions.jsonl", questions)
    results = {name: _measured(name, options, questions) for name in options.contenders}
    ours = results.get(OURS, {}).get("best_rate")
    result = {
        "environment": environment(),
        "questions": describe(questions),
        "plan": {
            **asdict(options),
            "data": options.data.name if options.data else "held-out or made",
            "output": None,
        },
        "results": results,
        "ours_is": {
            name: round(ours / found["best_rate"], 2) if ours and found["best_rate"] else None
            for name, found in results.items()
        },
    }
    (options.output / "compare.md").write_text(_page(result), encoding="utf-8")
    return result


def _measured(name: str, options: CompareOptions, questions: Sequence[Question]) -> Json:
    with running(
        CONTENDERS[name],
        models=options.models,
        num_threads=options.num_threads,
        log=options.output / f"compare-{name}.log",
        timeout_s=options.timeout_s,
    ) as started:
        run = LoadRun(started.target, questions, options)

        async def search() -> float | None:
            best = await run.run()
            for number in range(1, options.repeats if best is not None else 1):
                await run.probe(best or 0.0, name=f"best, again {number}", seed=number)
            return best

        best = run_client(search)
        run.write(options.output, f"compare-{name}")
        runs = {each: asdict(summary) for each, summary in run.summaries.items()}
        return {"best_rate": best, "runs": runs}


def _page(result: Json) -> str:
    machine, plan = result["environment"], result["plan"]
    lines = [
        "# The same weights, served in several ways",
        "",
        f"Highest rate of requests of which {plan['slo_share']:.0%} had their first solution "
        f"within {plan['slo_ms'] / 1e3:g} s of the moment they were due. "
        f"{machine['processor']}, {machine['num_cores']} cores for server and client; "
        f"{result['questions']['count']} questions (`{plan['mix']}`, puzzles "
        f"{plan['data']}), each of which the plain loop solves.",
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
