"""``gram-lab bench serve``: one server under load."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gram_lab.bench.client import Target, scrape
from gram_lab.bench.load import (
    WARM_UP_REQUESTS,
    Json,
    LoadOptions,
    LoadRun,
    environment,
    run_client,
)
from gram_lab.bench.questions import describe, read_questions, write_questions


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions(LoadOptions):
    """A server and its load."""

    url: str = "http://127.0.0.1:8000"
    key: str | None = None
    mix: str = "sudoku-9x9:16"
    trace: Path | None = None
    """File of questions to ask instead; a trace has at_s."""
    replay: float | None = None
    """Speed at which to replay the trace."""
    keep_questions: Path | None = None
    """File to write the questions to."""
    overload: tuple[float, ...] = ()
    """Multiples of the highest rate to offer afterwards."""
    output: Path | None = None


def measure_serve(options: ServeOptions) -> Json:
    questions = options.draw() if options.trace is None else read_questions(options.trace)
    if options.keep_questions is not None:
        write_questions(options.keep_questions, questions)
    headers = (("Authorization", f"Bearer {options.key}"),) if options.key else ()
    target = Target(url=options.url, timeout_s=options.timeout_s, headers=headers)
    run = LoadRun(target, questions, options)

    async def measure() -> Json:
        before = await scrape(target.url, headers)
        best: float | None = None
        overloaded: Json | None = None
        if options.replay is None:
            best = await run.run()
            if options.overload and best is not None:
                overloaded = await run.overload(best, options.overload)
        else:
            await run.warm_up()
            await run.replay(options.replay)
        counted = _requests(await scrape(target.url, headers)) - _requests(before)
        asked = Counter({"solved": WARM_UP_REQUESTS})
        for summary in run.summaries.values():
            asked.update(summary.ends)
        return {
            "best_rate": best,
            "runs": {name: asdict(summary) for name, summary in run.summaries.items()},
            "overload": overloaded,
            "agreement": {"client_with_warm_up": asked, "server": dict(counted)},
        }

    result = run_client(measure)
    if options.output is not None:
        run.write(options.output, "serve")
    plan = {**asdict(options), "key": None}
    about = {"environment": environment(), "url": target.url, "questions": describe(questions)}
    return {**about, "plan": plan, **result}


def _requests(samples: Mapping[str, float]) -> Counter[str]:
    """Return the server's own counts of requests by outcome."""
    counted = Counter[str]()
    for name, value in samples.items():
        if name.startswith("gram_requests_total{"):
            counted[name.partition('outcome="')[2].partition('"')[0]] += int(value)
    return counted
