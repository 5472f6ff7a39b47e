"""Latency and goodput over the offered rate as PNG files. Needs the extra ``plots``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gram_lab.bench.load.client import Load
from gram_lab.bench.load.summary import Summary


def draw_rates(path: Path, runs: Mapping[str, Sequence[Summary]], *, objective_s: float) -> None:
    """Draw p99 to the first solution, and goodput, over the rate, a line for each target."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    latency, goodput = figure.subplots(1, 2)
    for name, summaries in runs.items():
        known = [(run.rate, run.first_solution_ms["p99"]) for run in summaries]
        points = [(rate, value) for rate, value in known if value is not None]
        latency.plot(*zip(*points, strict=True), marker="o", label=name) if points else None
        goodput.plot(
            [run.rate for run in summaries],
            [run.goodput for run in summaries],
            marker="o",
            label=name,
        )
    latency.axhline(objective_s * 1e3, color="black", linestyle=":", label="objective")
    latency.set(xscale="log", yscale="log", xlabel="requests/s offered")
    latency.set_ylabel("p99 to the first solution, ms")
    goodput.set(xscale="log", xlabel="requests/s offered", ylabel="requests/s within the objective")
    for axes in (latency, goodput):
        axes.grid(alpha=0.3)
    latency.legend()
    figure.savefig(path)


def draw_timeline(path: Path, loads: Mapping[str, Load]) -> None:
    """Draw when each request was due and how long it took, solved or refused."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.6 * len(loads)), layout="constrained")
    panels = figure.subplots(len(loads), 1, squeeze=False)[:, 0]
    for axes, (name, load) in zip(panels, loads.items(), strict=True):
        for end, color in (("solved", "tab:blue"), ("refused", "tab:red")):
            shown = [record for record in load.records if record.end == end]
            axes.scatter(
                [record.scheduled_s for record in shown],
                [1e3 * ((record.first_s or record.end_s) - record.scheduled_s) for record in shown],
                s=4,
                color=color,
                label=end,
            )
        axes.set(yscale="log", title=name, ylabel="ms", xlabel="s")
        axes.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path)
