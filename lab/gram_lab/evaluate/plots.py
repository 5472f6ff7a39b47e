"""Draws curves of depth and width as PNG; needs the extra ``plots`` (matplotlib)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gram_core.errors import PlotsUnavailable
from gram_lab.evaluate.curves import Curve, bent, best_splits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_WIDTHS = (1, 4, 16, 64, 256)
SHOWN_DEPTHS = (4, 16, 64, 256)
DOTS_PER_INCH = 110


def plot_curves(curves: Sequence[Curve], title: str, path: Path) -> None:
    """Write one figure: depth at some widths, width at some depths, and the best splits.

    Args:
        curves: the model first, then what it is compared with.
        title: heading.
        path: PNG to write.
    """
    require_plots()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    by_depth, by_width, by_budget = figure.subplots(1, 3, sharey=True)
    _draw_depths(by_depth, curves[0])
    _draw_widths(by_width, curves[0])
    _draw_budgets(by_budget, curves)
    for axes in (by_depth, by_width, by_budget):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(-2, 102)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small")
    by_depth.set_ylabel("puzzles solved, %")
    figure.suptitle(title)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def require_plots() -> None:
    """Raise ``PlotsUnavailable`` where no plot could be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise PlotsUnavailable("plots need the extra: gram-lab[plots]") from error


def _draw_depths(axes: "Axes", curve: Curve) -> None:
    axes.set_xlabel("depth (supervision steps of a trajectory)")
    for width in SHOWN_WIDTHS:
        points = [point for point in curve.points if point.width == width]
        if points:
            depths = [point.depth for point in points]
            solved = [100 * point.solved.value for point in points]
            axes.plot(depths, solved, marker=".", label=f"{curve.name}, width {width}")


def _draw_widths(axes: "Axes", curve: Curve) -> None:
    axes.set_xlabel("width (trajectories)")
    for depth in SHOWN_DEPTHS:
        points = [point for point in curve.points if point.depth == depth]
        if points:
            widths = [point.width for point in points]
            solved = [100 * point.solved.value for point in points]
            axes.plot(widths, solved, marker=".", label=f"{curve.name}, depth {depth}")


def _draw_budgets(axes: "Axes", curves: Sequence[Curve]) -> None:
    axes.set_xlabel("budget (width x depth), best split of each")
    for number, curve in enumerate(curves):
        splits = best_splits(curve.points)
        budgets = [point.budget for point in splits]
        solved = [100 * point.solved.value for point in splits]
        (line,) = axes.plot(budgets, solved, marker=".", label=curve.name)
        if number == 0:
            low = [100 * point.solved.low for point in splits]
            high = [100 * point.solved.high for point in splits]
            axes.fill_between(budgets, low, high, alpha=0.15, color=line.get_color())
    if bend := bent(curves[0].points):
        label = f"bend: width {bend.width}, depth {bend.depth}"
        axes.axvline(bend.budget, color="grey", linestyle="--", label=label)
