"""Curves of depth and width as files: JSON and PNG for each model, and one page for all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gram_lab.evaluate.curves import Curve, Point, bent, best_splits
from gram_lab.evaluate.plots import plot_curves
from gram_lab.evaluate.table import Facts

FOLDER = "curves"
PAGE_FILE = "curves.md"
OPENING = (
    "# Depth and width\n\n"
    "Puzzles solved by w trajectories of at most d supervision steps, for all w and d that are "
    "powers of two within a budget w x d. A row shows the best split of its budget; *steps* are "
    "what it costs on average when all trajectories of a puzzle stop at the first valid answer. "
    "The curve bends at the budget from which no doubling solves one puzzle in a hundred more. "
    "All points are in the JSON files in `curves/`.\n"
)


class CurveReport(NamedTuple):
    """The curves of one model and of what it is compared with."""

    name: str
    facts: Facts
    curves: tuple[Curve, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        curves = [curve.to_json() for curve in self.curves]
        return {"name": self.name, **self.facts.to_json(), "curves": curves}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "CurveReport":
        """Read what ``to_json`` wrote."""
        curves = tuple(Curve.from_json(each) for each in values["curves"])
        return cls(values["name"], Facts.from_json(values), curves)

    def to_markdown(self) -> str:
        """Return the section of a page."""
        names = [curve.name for curve in self.curves]
        lines = [
            f"## {self.name}",
            "",
            self.facts.sentence(),
            "",
            f"    {self.facts.command}",
            "",
            _bend(self.curves[0]),
            "",
            f"| budget | {' | '.join(names)} | steps |",
            f"|---|{'---|' * len(names)}---|",
            *_rows(self.curves),
            "",
            f"![curves of {self.name}]({FOLDER}/{self.name}.png)",
        ]
        return "\n".join(lines) + "\n"


def _bend(curve: Curve) -> str:
    bend = bent(curve.points)
    if bend is None:
        return "The curve does not bend within the budget: its last doubling still paid."
    return (
        f"The curve bends at width {bend.width}, depth {bend.depth}: "
        f"{_share(bend)} of the puzzles in {bend.steps:.1f} steps on average."
    )


def _rows(curves: Sequence[Curve]) -> list[str]:
    splits = [{point.budget: point for point in best_splits(curve.points)} for curve in curves]
    rows = []
    for budget, ours in splits[0].items():
        cells = [f"{_share(each[budget])} at {_split(each[budget])}" for each in splits]
        rows.append(f"| {budget} | {' | '.join(cells)} | {ours.steps:.1f} |")
    return rows


def _share(point: Point) -> str:
    return f"{100 * point.solved.value:.1f} %"


def _split(point: Point) -> str:
    return f"{point.width} x {point.depth}"


def write_curves(folder: Path, report: CurveReport) -> None:
    """Write a model's JSON and plot, and make the page anew from all models in the folder."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_json(), indent=1) + "\n"
    (folder / FOLDER / f"{report.name}.json").write_text(text, encoding="utf-8")
    plot_curves(report.curves, report.name, folder / FOLDER / f"{report.name}.png")
    sections = [
        CurveReport.from_json(json.loads(path.read_text(encoding="utf-8"))).to_markdown()
        for path in sorted((folder / FOLDER).glob("*.json"))
    ]
    (folder / PAGE_FILE).write_text("\n".join([OPENING, *sections]), encoding="utf-8")
