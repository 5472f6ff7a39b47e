"""The flags of ``gram-lab bench serve``, ``compare``, ``start`` and ``soak``."""

import argparse
from dataclasses import fields
from pathlib import Path

from gram_lab.bench.load.arrivals import Arrivals
from gram_lab.bench.load.client import Target
from gram_lab.bench.load.compare import CONTENDERS, Comparison, measure_compare, solvable
from gram_lab.bench.load.page import render_compare
from gram_lab.bench.load.puzzle_mix import (
    Question,
    draw_questions,
    read_mix,
    read_questions,
    write_questions,
)
from gram_lab.bench.load.serve import LoadPlan, measure_serve, run_client
from gram_lab.bench.load.soak import SoakPlan, measure_soak, measure_start
from gram_lab.bench.load.summary import Objective

Json = dict[str, object]


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``bench serve``."""
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="server to measure")
    parser.add_argument("--key", help="API key")
    parser.add_argument(
        "--mix", default="sudoku-9x9:16", help="as sudoku-9x9:1-64=2,nqueens-8:16=1"
    )
    parser.add_argument("--num-questions", type=int, default=200, help="different requests")
    parser.add_argument("--data", type=Path, help="puzzles of the first task of the mix")
    parser.add_argument("--rates", type=float, nargs="*", default=[], help="rates; else a search")
    parser.add_argument("--trace", type=Path, help="questions to ask, at_s where they are a trace")
    parser.add_argument("--replay", type=float, metavar="SPEED", help="ask them when they say")
    parser.add_argument("--keep-questions", type=Path, help="file to write the questions to")
    parser.add_argument("--output", type=Path, help="folder for serve.json, .jsonl and plots")
    _add_load(parser)
    parser.set_defaults(measure=_serve, name="serve")


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``bench compare``."""
    defaults = Comparison()
    parser.add_argument("--mix", default=defaults.mix, help="tasks, widths and weights")
    parser.add_argument("--models", nargs="+", default=defaults.models, help="to load everywhere")
    parser.add_argument(
        "--targets", nargs="+", choices=list(CONTENDERS), default=defaults.contenders
    )
    parser.add_argument("--num-questions", type=int, default=defaults.num_questions)
    parser.add_argument("--data", type=Path, help="puzzles of the first task of the mix")
    parser.add_argument("--num-threads", type=int, default=defaults.num_threads)
    parser.add_argument("--max-trajectories", type=int, default=defaults.max_trajectories)
    parser.add_argument("--max-backlog-s", type=float, default=defaults.max_backlog_s)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"), help="folder")
    _add_load(parser)
    parser.set_defaults(measure=_compare, name="compare")


def add_start(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``bench start``."""
    parser.add_argument("--num-runs", type=int, default=3)
    parser.add_argument("--num-threads", type=int, default=2)
    parser.add_argument("--models", nargs="*", default=[], help="by default every shipped one")
    parser.add_argument("--output", type=Path, help="folder for start.json")
    parser.set_defaults(measure=_start, name="start")


def add_soak(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``bench soak``."""
    defaults = SoakPlan()
    parser.add_argument("--minutes", type=float, default=defaults.minutes)
    parser.add_argument("--window-s", type=float, default=defaults.window_s)
    parser.add_argument("--load", type=float, default=defaults.load, help="share of capacity")
    parser.add_argument("--press", type=float, default=300.0, help="rate that saturates the server")
    parser.add_argument("--mix", default=Comparison().mix, help="tasks, widths and weights")
    parser.add_argument("--models", nargs="+", default=defaults.models)
    parser.add_argument("--num-questions", type=int, default=200)
    parser.add_argument("--num-threads", type=int, default=defaults.num_threads)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for soak.json")
    parser.set_defaults(measure=_soak, name="soak")


def _start(options: argparse.Namespace) -> tuple[Json, None]:
    result = measure_start(
        num_runs=options.num_runs, num_threads=options.num_threads, models=options.models
    )
    return result, None


def _soak(options: argparse.Namespace) -> tuple[Json, None]:
    plan = SoakPlan(
        minutes=options.minutes,
        window_s=options.window_s,
        load=options.load,
        models=tuple(options.models),
        num_threads=options.num_threads,
    )
    arrivals = Arrivals(rate=options.press, duration_s=options.window_s, seed=options.seed)
    load_plan = LoadPlan(arrivals=arrivals, objective=Objective(first_solution_s=10.0))
    drawn = draw_questions(read_mix(options.mix), options.num_questions, seed=options.seed)
    questions = solvable(drawn, options.models, num_threads=options.num_threads)
    return measure_soak(plan, load_plan, questions), None


def _add_load(parser: argparse.ArgumentParser) -> None:
    defaults = {field.name: field.default for field in fields(LoadPlan)}
    parser.add_argument("--rate", type=float, default=2.0, help="where a search starts")
    parser.add_argument("--lowest-rate", type=float, default=defaults["lowest_rate"])
    parser.add_argument("--duration-s", type=float, default=60.0, help="of each rate")
    parser.add_argument("--min-requests", type=int, default=defaults["min_requests"])
    parser.add_argument("--burstiness", type=float, default=1.0, help="1 is Poisson, 0 even")
    parser.add_argument("--ramp-s", type=float, default=0.0, help="seconds of a rising rate")
    parser.add_argument("--slo-ms", type=float, default=2000.0, help="to the first solution")
    parser.add_argument("--slo-share", type=float, default=0.99, help="of requests within it")
    parser.add_argument("--overload", type=float, nargs="*", default=[], help="as 2 5")
    parser.add_argument("--repeats", type=int, default=defaults["repeats"])
    parser.add_argument("--timeout-s", type=float, default=60.0, help="the client's patience")
    parser.add_argument("--seed", type=int, default=0)


def _plan(options: argparse.Namespace) -> LoadPlan:
    return LoadPlan(
        arrivals=Arrivals(
            rate=options.rate,
            duration_s=options.duration_s,
            burstiness=options.burstiness,
            ramp_s=options.ramp_s,
            seed=options.seed,
        ),
        objective=Objective(first_solution_s=options.slo_ms / 1e3, share=options.slo_share),
        min_requests=options.min_requests,
        lowest_rate=options.lowest_rate,
        rates=tuple(getattr(options, "rates", ())),
        overload=tuple(options.overload),
        repeats=options.repeats,
    )


def _questions(options: argparse.Namespace) -> list[Question]:
    if options.trace is not None:
        return read_questions(options.trace)
    mix = read_mix(options.mix)
    return draw_questions(mix, options.num_questions, seed=options.seed, data=options.data)


def _serve(options: argparse.Namespace) -> tuple[Json, None]:
    questions = _questions(options)
    if options.keep_questions is not None:
        write_questions(options.keep_questions, questions)
    headers = (("Authorization", f"Bearer {options.key}"),) if options.key else ()
    target = Target(url=options.url, timeout_s=options.timeout_s, headers=headers)
    plan = _plan(options)
    result = run_client(
        lambda: measure_serve(target, questions, plan, speed=options.replay, output=options.output)
    )
    return result, None


def _compare(options: argparse.Namespace) -> tuple[Json, str]:
    comparison = Comparison(
        mix=options.mix,
        models=tuple(options.models),
        contenders=tuple(options.targets),
        num_questions=options.num_questions,
        data=options.data,
        num_threads=options.num_threads,
        max_trajectories=options.max_trajectories,
        max_backlog_s=options.max_backlog_s,
        seed=options.seed,
        timeout_s=options.timeout_s,
    )
    result = measure_compare(comparison, _plan(options), output=options.output)
    return result, render_compare(result)
