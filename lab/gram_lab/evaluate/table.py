"""A table of figures and their cost, as JSON, and the Markdown pages of such tables."""

import json
from collections.abc import Mapping, Sequence
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


def table(
    name: str,
    title: str,
    *,
    columns: Sequence[Column],
    rows: Sequence[Row],
    facts: Json,
    notes: Sequence[str],
) -> Json:
    """Return rows under one heading, as JSON.

    ``name`` is that of its files, ``facts`` are those of ``Plan.facts``, ``notes`` say how to read
    it.
    """
    return {
        "table": name,
        "title": title,
        **facts,
        "columns": [column._asdict() for column in columns],
        "rows": [asdict(row) for row in rows],
        "notes": list(notes),
    }


def section(table: Json) -> str:
    """Return a table as Markdown."""
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
    # A minus sign beside a dash is hard to read.
    return f"{shown} ({low:.1f}{' to ' if low < 0 else '-'}{high:.1f})"


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


PAGES = {
    "paper-tables": "# The paper's tables\n\n"
    "Our rows, in bold, beside the published ones (arXiv 2605.19376 and the papers that rows "
    "name). *Steps* are supervision steps per puzzle, *GFLOP* what they cost, both means over the "
    "puzzles. Every answer that counts passed the plain checker. The JSON files of these tables "
    "are in `paper-tables/`.\n",
    "grid": "# Widths and depths\n\n"
    "How often the first trajectories of a puzzle are right, by how many they are and how many "
    "steps they take. The JSON files of these tables are in `grid/`.\n",
    "protocols": "# Models by the protocols of papers\n\n"
    "Each model as the named paper measures its own, on the same puzzles. The JSON files of these "
    "tables are in `protocols/`.\n",
}
"""Beginnings of the pages, by the kind of their tables."""


def write_table(folder: Path, kind: str, table: Json) -> None:
    """Write a table as JSON and rebuild the page from all tables of its kind."""
    (folder / kind).mkdir(parents=True, exist_ok=True)
    text = json.dumps(table, indent=1) + "\n"
    (folder / kind / f"{table['table']}.json").write_text(text, encoding="utf-8")
    paths = sorted((folder / kind).glob("*.json"))
    sections = [section(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    (folder / f"{kind}.md").write_text("\n".join([PAGES[kind], *sections]), encoding="utf-8")
