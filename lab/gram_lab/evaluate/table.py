"""A table of figures and their cost, as JSON, and the Markdown pages of such tables."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gram_lab.intervals import Figure

Unit = Literal["percent", "number"]
Json = Mapping[str, Any]


class Column(NamedTuple):
    """A measured quantity."""

    key: str
    title: str
    unit: Unit = "percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a reader needs to repeat a measurement."""

    command: str
    model: str
    """Name and fingerprint."""
    parameters: int
    inference_parameters: int
    """Without the posterior, which only training uses."""
    flop_per_step: int
    """Of one supervision step of one trajectory."""
    data: str
    puzzles: int
    seeds: tuple[int, ...]
    precision: str
    hardware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method's figures, as JSON has them."""

    name: str
    measured: bool = True
    """False for what others published, and for bounds."""
    mismatches: int = 0
    """Answers that device verifier and plain checker judged differently; must be 0."""
    steps_per_puzzle: float | None = None
    """A mean, as FLOP are."""
    flop_per_puzzle: float | None = None
    figures: Mapping[str, Figure | float]
    """By column key; a bare number where no interval is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under one heading."""

    name: str
    """Base name of its files."""
    title: str
    columns: tuple[Column, ...]
    rows: list[Row]
    facts: Facts
    notes: tuple[str, ...] = ()
    """Sentences on how to read it."""

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.name,
            "title": self.title,
            **asdict(self.facts),
            "columns": [column._asdict() for column in self.columns],
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
        }


def section(table: Json) -> str:
    """Return a table, as JSON has it, as Markdown."""
    columns = table["columns"]
    titles = ["", *(column["title"] for column in columns), "steps", "GFLOP"]
    seeds = "seed" if len(table["seeds"]) == 1 else "seeds"
    facts = (
        f"`{table['model']}`: {table['parameters']:,} parameters, "
        f"{table['inference_parameters']:,} of them at inference, "
        f"{table['flop_per_step'] / 1e6:.1f} MFLOP a supervision step. "
        f"{table['puzzles']:,} puzzles ({table['data']}), {seeds} "
        f"{', '.join(map(str, table['seeds']))}, {table['precision']}, {table['hardware']}."
    )
    lines = [f"## {table['title']}", "", facts, "", *table["notes"], ""]
    lines += [f"    {table['command']}", ""]
    rows = [titles, ["---"] * len(titles)]
    for row in table["rows"]:
        name = f"**{row['name']}**" if row["measured"] else row["name"]
        figures = [_shown(row["figures"].get(column["key"]), column["unit"]) for column in columns]
        flop = row["flop_per_puzzle"]
        costs = (row["steps_per_puzzle"], None if flop is None else flop / 1e9)
        rows.append([name, *figures, *map(_count, costs)])
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines) + "\n"


def _shown(figure: Json | float | None, unit: Unit) -> str:
    if figure is None:
        return "-"
    is_percent = unit == "percent"
    value = figure if isinstance(figure, float | int) else figure["value"]
    shown = f"{100 * value:.2f} %" if is_percent else f"{value:.1f}"
    if isinstance(figure, float | int):
        return shown
    low, high = ((100 if is_percent else 1) * figure[bound] for bound in ("low", "high"))
    return f"{shown} ({low:.1f}-{high:.1f})"


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


class Page(NamedTuple):
    """A kind of table and the page that shows its tables."""

    name: str
    """Of the Markdown file and of the folder of JSON files."""
    opening: str


PAPER_TABLES = Page(
    "paper-tables",
    "# The paper's tables\n\n"
    "Our rows, in bold, beside the published ones (arXiv 2605.19376 and the papers that rows "
    "name). *Steps* are supervision steps per puzzle, *GFLOP* what they cost, both means over the "
    "puzzles. Every answer that counts passed the plain checker. The JSON files of these tables "
    "are in `paper-tables/`.\n",
)
GRID = Page(
    "grid",
    "# Widths and depths\n\n"
    "How often the first trajectories of a puzzle are right, by how many they are and how many "
    "steps they take. The JSON files of these tables are in `grid/`.\n",
)


def write_table(folder: Path, page: Page, table: Table) -> None:
    """Write a table's JSON and rebuild the page from all tables of its kind."""
    (folder / page.name).mkdir(parents=True, exist_ok=True)
    text = json.dumps(table.to_json(), indent=1) + "\n"
    (folder / page.name / f"{table.name}.json").write_text(text, encoding="utf-8")
    paths = sorted((folder / page.name).glob("*.json"))
    sections = [section(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    text = "\n".join([page.opening, *sections])
    (folder / f"{page.name}.md").write_text(text, encoding="utf-8")
