"""A comparison as a Markdown page."""

from typing import Any

NAMES = {
    "naive": "a naive FastAPI loop",
    "litserve": "LitServe, dynamic batches of 8 requests",
    "static": "our engine, static batching",
    "static-leaving": "our engine, static batching that rows leave early",
    "gram-server": "gram-server",
}


def render_compare(result: dict[str, Any]) -> str:
    """Return the page of a comparison."""
    plan, machine = result["plan"], result["environment"]
    objective = plan["objective"]
    lines = [
        "# The same weights, served in several ways",
        "",
        f"Highest rate of requests of which {objective['share']:.0%} had their first solution "
        f"within {objective['first_solution_s']:g} s of the moment they were due (`gram-lab "
        "bench compare`).",
        "",
        f"{machine['processor']}, {machine['num_cores']} cores for server and client; "
        f"gram-server {machine['gram_server']}, Python {machine['python']}. "
        f"{result['questions']['count']} questions (`{result['comparison']['mix']}`, "
        f"puzzles {result['comparison']['data']}), each of "
        "which the plain loop solves; squared variation of the gaps "
        f"{plan['arrivals']['burstiness']:g}, {plan['arrivals']['duration_s']:g} s or "
        f"{plan['min_requests']} requests a rate. The plain loop and LitServe's batch end as soon "
        "as each of their requests has a solution, and so does a static batch, which computes all "
        "of its rows until then; where rows leave early, only joining waits for the batch's end.",
        "",
        "| served by | highest rate, requests/s | ours is | shares within, again |",
        "|---|---:|---:|---|",
    ]
    for name, found in result["results"].items():
        again = ", ".join(f"{share:.1%}" for share in found["share_within_again"]) or "-"
        rate = _rate(found["best_rate"], lowest=plan["lowest_rate"])
        lines.append(f"| {NAMES[name]} | {rate} | {_ratio(result, name)} | {again} |")
    lines += ["", *_by_objective(result), "", "![latency and goodput](compare-rates.png)", ""]
    if result["overload"] is not None:
        lines += _overload(result["overload"], result["comparison"])
    return "\n".join(lines) + "\n"


def _by_objective(result: dict[str, Any]) -> list[str]:
    """Judge the probed rates by other objectives too."""
    first = next(iter(result["results"].values()))
    objectives = list(first["best_rate_by_objective"])
    lines = [
        "Highest probed rate for other objectives:",
        "",
        "| served by | " + " | ".join(objectives) + " |",
        "|---|" + "---:|" * len(objectives),
    ]
    for name, found in result["results"].items():
        rates = [_rate(found["best_rate_by_objective"][objective]) for objective in objectives]
        lines.append(f"| {NAMES[name]} | " + " | ".join(rates) + " |")
    return lines


def _overload(overload: dict[str, Any], comparison: dict[str, Any]) -> list[str]:
    lines = [
        f"## Overload, with bounds of {comparison['max_trajectories']} trajectories and of "
        f"{comparison['max_backlog_s']:g} s of backlog",
        "",
        f"Saturation is the highest rate within the objective, {overload['saturation']:.1f} "
        "requests/s.",
        "",
        "| offered | solved/s | refused | p50, p99 to the first solution, ms | p99 against "
        "saturation | p50, p99 of a refusal, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for multiple, run in overload["runs"].items():
        refused = run["ends"].get("refused", 0) / run["num_requests"]
        lines.append(
            f"| {multiple}x | {run['throughput']:.1f} | {refused:.1%} "
            f"| {_pair(run['first_solution_ms'])} "
            f"| {_times(overload['first_solution_p99_ratio'][multiple])} "
            f"| {_pair(run['refusal_ms'])} |"
        )
    return [*lines, ""]


def _rate(rate: float | None, *, lowest: float | None = None) -> str:
    if rate is None:
        return "none" if lowest is None else f"below {lowest:g}"
    return f"{rate:.2f}"


def _ratio(result: dict[str, Any], name: str) -> str:
    """Return how many times the other's best rate ours is, or more than how many."""
    ours = result["results"].get("gram-server", {}).get("best_rate")
    lowest = result["plan"]["lowest_rate"]
    if ours and result["results"][name]["best_rate"] is None:
        return f"over {ours / lowest:.0f}x"
    return _times(result["goodput_ratio"].get(name))


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _pair(quantiles: dict[str, float | None]) -> str:
    return ", ".join(
        "-" if quantiles[name] is None else f"{quantiles[name]:.1f}" for name in ("p50", "p99")
    )
